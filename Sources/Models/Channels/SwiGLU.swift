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
    let (a, b) = (try gate(x, tape: tape, for: .products), try up(x, tape: tape, for: .products))
    return try down(tape.swiGLU(gate: a, b, for: .products), adding: residual, tape: tape)
  }
}
