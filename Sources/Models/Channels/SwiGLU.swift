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
    try down(
      tape.swiGLU(gate: gate(x, tape: tape), up(x, tape: tape)), adding: residual, tape: tape)
  }
}
