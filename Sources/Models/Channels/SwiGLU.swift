import Autodiff
import SequenceParallel

/// SwiGLU: `W_down(silu(x W_gate) ⊙ x W_up)`.
///
/// - Source: Shazeer, "GLU Variants Improve Transformer" (arXiv 2002.05202).
struct SwiGLU: ChannelMixer {
  let gate, up, down: Linear

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    try self(x, weights: nil, adding: residual, tape: tape)
  }

  /// The same, times a weight for each token where there are some, `[N, 1]`.
  func callAsFunction(
    _ x: Variable, weights: Variable?, adding residual: Variable?, tape: Tape
  ) throws -> Variable {
    let (a, b) = (try gate(x, tape: tape, for: .products), try up(x, tape: tape, for: .products))
    let hidden =
      weights.map { tape.swiGLU(gate: a, b, weights: $0, for: .products) }
      ?? tape.swiGLU(gate: a, b, for: .products)
    return try down(hidden, adding: residual, tape: tape)
  }
}
