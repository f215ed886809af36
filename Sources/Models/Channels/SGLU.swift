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
    let (a, b) = (try l1(x, tape: tape, for: .products), try l2(x, tape: tape, for: .products))
    return try l3(tape.product(a, b, for: .products), adding: residual, tape: tape)
  }
}
