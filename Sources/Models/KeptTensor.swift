import Tensors

/// A tensor of a model's folder that nothing here computes with, and that folders of the model hold all the same.
package struct KeptTensor: Sendable {
  /// The name in the file.
  package let name: String
  /// Extents in the file.
  package let shape: Shape

  package init(name: String, shape: Shape) { (self.name, self.shape) = (name, shape) }
}
