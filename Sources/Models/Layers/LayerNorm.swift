import Autodiff
import Tensors

/// Layer normalisation, of whole rows or of each head, with a weight and a bias or without.
package struct LayerNorm: Normalization {
  /// Shape of the row, or nil.
  package let weight, bias: Parameter?
  /// Numbers normalised together; nil for the row.
  package var width: Int? = nil
  /// Added to the variance.
  package let epsilon: Float

  /// Concretely: `(x − mean(x)) · rsqrt(var(x) + eps) ⊙ w + b`.
  package func callAsFunction(
    _ x: Variable, tape: Tape, for readers: Readers
  ) -> Variable {
    tape.layerNorm(x, weight: weight, bias: bias, width: width, epsilon: epsilon, for: readers)
  }
}

extension ModelBuilder {
  /// A layer norm of rows of `columns` numbers, named `name.weight` and `name.bias`: ones and zeros at first.
  ///
  /// - Parameter width: Numbers normalised together; nil for all.
  package mutating func layerNorm(
    _ name: String, columns: Int, width: Int? = nil, bias: Bool = true, epsilon: Float
  ) -> LayerNorm {
    let weight = parameter(
      name + ".weight", [columns], role: .norm, initialization: .constant(1))
    let offset =
      bias
      ? parameter(name + ".bias", [columns], role: .bias, initialization: .constant(0)) : nil
    return LayerNorm(weight: weight, bias: offset, width: width, epsilon: epsilon)
  }
}
