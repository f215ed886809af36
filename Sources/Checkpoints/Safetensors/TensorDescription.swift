/// What a tensor of a file to be written is called and looks like.
package struct TensorDescription: Sendable {
  /// The name in the file.
  package let name: String
  /// Extents, outermost first.
  package let shape: [Int]
  /// How its elements are to be stored.
  package let type: ElementType

  package init(_ name: String, shape: [Int], type: ElementType = .float32) {
    precondition(shape.allSatisfy { $0 >= 0 }, "tensor \(name) has the impossible shape \(shape)")
    self.name = name
    self.shape = shape
    self.type = type
  }

  /// Number of bytes it takes in a file.
  package var bytes: Int { shape.reduce(type.size, *) }
}
