import Autodiff
import SequenceParallel

/// TNL's SGLU: `W_3(x W_1 ⊙ x W_2)`; no activation.
///
/// - Source: Qin et al., "TransNormerLLM" (arXiv 2307.14995).
struct SGLU: ChannelMixer {
  let l1, l2, l3: Linear

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    try l3(tape.product(l1(x, tape: tape), l2(x, tape: tape)), adding: residual, tape: tape)
  }
}
