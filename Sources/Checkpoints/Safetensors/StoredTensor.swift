/// One tensor of a safetensors file: its name, element type, shape, and place.
public struct StoredTensor: Sendable, Equatable {
  /// The name in the file.
  public let name: String
  /// How its elements are stored.
  public let type: ElementType
  /// Extents, outermost first; row-major.
  public let shape: [Int]
  /// Where its bytes lie, counted from the first byte after the header.
  public let range: Range<Int>

  /// Number of elements.
  public var count: Int { range.count / type.size }
}
