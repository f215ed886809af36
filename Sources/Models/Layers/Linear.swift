import Autodiff
import Tensors

/// A projection: `y = x Wᵀ + b`.
package struct Linear: Sendable {
  /// Shape `[output, input]`.
  package let weight: Parameter
  /// Shape `[output]`, or nil.
  package let bias: Parameter?

  /// `[…, input]` to `[…, output]`, for some readers; with a residual of the output's shape added.
  package func callAsFunction(
    _ x: Variable, adding residual: Variable? = nil, tape: Tape, for readers: Readers = .any
  ) throws -> Variable {
    try tape.linear(x, weight, bias: bias, residual: residual, for: readers)
  }
}
