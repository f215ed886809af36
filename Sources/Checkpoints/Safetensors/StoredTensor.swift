/// One tensor of a safetensors file: its name, element type, shape, and place.
package struct StoredTensor: Sendable, Equatable {
  /// The name in the file.
  package let name: String
  /// How its elements are stored.
  package let type: ElementType
  /// Extents, outermost first; row-major.
  package let shape: [Int]
  /// Where its bytes lie, counted from the first byte after the header.
  package let range: Range<Int>

  /// Number of elements.
  package var count: Int { range.count / type.size }
}
