import Autodiff
import Tensors

/// Root-mean-square normalisation, with a weight or without (SimpleRMSNorm).
package struct Norm: Sendable {
  /// Shape `[width]`, or nil.
  package let weight: Parameter?
  /// Numbers normalised together; nil for the last extent.
  package var width: Int? = nil
  /// Added to the mean square.
  package let epsilon: Float

  /// Concretely: `x · rsqrt(mean(x²) + eps) ⊙ w`.
  package func callAsFunction(_ x: Variable, tape: Tape) -> Variable {
    tape.rmsNorm(x, weight: weight, width: width, epsilon: epsilon)
  }
}
