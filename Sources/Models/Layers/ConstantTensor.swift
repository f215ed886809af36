import Tensors

/// A tensor that other programs store beside weights, though it follows from the model's keys: it is no parameter.
package struct ConstantTensor: Sendable {
  /// The name in the file.
  package let name: String
  /// Extents in the file.
  package let shape: Shape
  /// By how much of it a stored number may differ; nil where stored numbers are not looked at.
  package let tolerance: Double?
  /// The number at a place in row-major order.
  package let number: @Sendable (Int) -> Float

  init(
    _ name: String, _ shape: Shape, tolerance: Double? = nil,
    number: @escaping @Sendable (Int) -> Float
  ) {
    (self.name, self.shape, self.tolerance, self.number) = (name, shape, tolerance, number)
  }
}
