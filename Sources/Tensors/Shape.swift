/// The extents of a tensor, outermost first; storage is row-major and contiguous.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Extent of each dimension.
  public let dimensions: [Int]
  /// Number of elements.
  public let count: Int

  /// Makes a shape; an extent may be 0.
  public init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "negative extent in shape \(dimensions)")
    self.dimensions = dimensions
    count = dimensions.reduce(1, *)
  }

  /// Makes a shape from a literal such as `[2, 3]`.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The extent of one dimension; negative positions count from the end.
  public subscript(_ position: Int) -> Int {
    dimensions[position < 0 ? dimensions.count + position : position]
  }

  /// Number of dimensions.
  public var rank: Int { dimensions.count }

  /// Product of all extents but the last: how many rows a matrix view has.
  public var rows: Int { dimensions.dropLast().reduce(1, *) }

  /// The last extent (1 for a scalar).
  public var columns: Int { dimensions.last ?? 1 }

  /// Such as `[2, 3]`.
  public var description: String { "\(dimensions)" }
}
