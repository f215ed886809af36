import Autodiff
import Tensors

/// What normalises the residual stream in a block or before the head.
package protocol Normalization: Sendable {
  /// Maps `[N, D]` to `[N, D]`, for some readers.
  func callAsFunction(_ x: Variable, tape: Tape, for readers: Readers) -> Variable
}

extension Normalization {
  /// Maps `[N, D]` to `[N, D]`.
  package func callAsFunction(_ x: Variable, tape: Tape) -> Variable {
    self(x, tape: tape, for: .any)
  }
}

/// Root-mean-square normalisation, with a weight or without (SimpleRMSNorm).
package struct Norm: Normalization {
  /// Shape `[width]`, or nil.
  package let weight: Parameter?
  /// Numbers normalised together; nil for the last extent.
  package var width: Int? = nil
  /// Added to the mean square.
  package let epsilon: Float
  /// What is added to the weight: 1 where the file has what it differs from 1 by.
  package var offset: Float = 0

  /// Concretely: `x · rsqrt(mean(x²) + eps) ⊙ (w + offset)`.
  package func callAsFunction(
    _ x: Variable, tape: Tape, for readers: Readers
  ) -> Variable {
    tape.rmsNorm(
      x, weight: weight, offset: offset, width: width, epsilon: epsilon, for: readers)
  }
}
