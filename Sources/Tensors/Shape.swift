/// The extents of a tensor, outermost first; storage is row-major and contiguous.
package struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Extent of each dimension.
  package let dimensions: [Int]
  /// Number of elements.
  package let count: Int

  /// Makes a shape; an extent may be 0.
  package init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "negative extent in shape \(dimensions)")
    self.dimensions = dimensions
    count = dimensions.reduce(1, *)
  }

  /// Makes a shape from a literal such as `[2, 3]`.
  package init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The extent of one dimension; negative positions count from the end.
  package subscript(_ position: Int) -> Int {
    dimensions[position < 0 ? dimensions.count + position : position]
  }

  /// Number of dimensions.
  package var rank: Int { dimensions.count }

  /// Product of all extents but the last: how many rows a matrix view has.
  package var rows: Int { dimensions.dropLast().reduce(1, *) }

  /// The last extent (1 for a scalar).
  package var columns: Int { dimensions.last ?? 1 }

  /// Such as `[2, 3]`.
  package var description: String { "\(dimensions)" }
}
