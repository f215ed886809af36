import Autodiff
import Tensors

/// A norm whose results are multiplied by a number.
struct ScaledNorm: Normalization {
  let norm: any Normalization
  let factor: Float

  func callAsFunction(_ x: Variable, tape: Tape, for readers: Readers) -> Variable {
    tape.scaled(norm(x, tape: tape), by: factor, for: readers)
  }
}
