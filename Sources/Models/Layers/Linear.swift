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
