import Autodiff
import Tensors

/// Root-mean-square normalisation with a bias.
struct ShiftedNorm: Normalization {
  let norm: Norm
  /// Shape `[width]`.
  let bias: Parameter

  func callAsFunction(_ x: Variable, tape: Tape, for readers: Readers) -> Variable {
    tape.shifted(norm(x, tape: tape), by: bias)
  }
}
