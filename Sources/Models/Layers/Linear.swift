import Autodiff
import Tensors

/// A projection: `y = x Wᵀ + b`.
public struct Linear: Sendable {
  /// Shape `[output, input]`.
  public let weight: Parameter
  /// Shape `[output]`, or nil.
  public let bias: Parameter?

  /// `[…, input]` to `[…, output]`; with a residual of the output's shape added.
  public func callAsFunction(
    _ x: Variable, adding residual: Variable? = nil, tape: Tape
  ) throws -> Variable {
    try tape.linear(x, weight, bias: bias, residual: residual)
  }
}

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
