import Autodiff
import Tensors

/// Root-mean-square normalisation, with a weight or without (SimpleRMSNorm).
public struct Norm: Sendable {
  /// Shape `[width]`, or nil.
  public let weight: Parameter?
  /// Numbers normalised together; nil for the last extent.
  public var width: Int? = nil
  /// Added to the mean square.
  public let epsilon: Float

  /// Concretely: `x · rsqrt(mean(x²) + eps) ⊙ w`.
  public func callAsFunction(_ x: Variable, tape: Tape) -> Variable {
    tape.rmsNorm(x, weight: weight, width: width, epsilon: epsilon)
  }
}
