/// Some of the parameters' index space: ascending ranges that do not overlap, and the place of each number among
/// theirs.
package struct IndexRanges: Sendable, Hashable {
  /// The ranges; neighbours are joined, and none is empty.
  package let ranges: [Range<Int>]
  /// Numbers in all ranges before each.
  private let offsets: [Int]
  /// Numbers in all ranges.
  package let count: Int

  /// Joins ascending ranges.
  package init(_ ascending: [Range<Int>]) {
    var ranges: [Range<Int>] = []
    for range in ascending where !range.isEmpty {
      if let last = ranges.last, last.upperBound >= range.lowerBound {
        precondition(last.upperBound == range.lowerBound, "\(range) after \(last)")
        ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
      } else {
        ranges.append(range)
      }
    }
    var offsets: [Int] = []
    var count = 0
    for range in ranges {
      offsets.append(count)
      count += range.count
    }
    (self.ranges, self.offsets, self.count) = (ranges, offsets, count)
  }

  /// How many of the numbers lie before `index`.
  package func offset(of index: Int) -> Int {
    let next = firstEnding(after: index)
    guard next < ranges.count else { return count }
    return offsets[next] + max(0, index - ranges[next].lowerBound)
  }

  /// How many of the numbers lie in `range`.
  package func count(in range: Range<Int>) -> Int {
    offset(of: range.upperBound) - offset(of: range.lowerBound)
  }

  /// The place of the number before which `offset` of the numbers lie.
  package func index(ofNumber offset: Int) -> Int {
    precondition((0..<count).contains(offset), "number \(offset) of \(count)")
    let next = offsets.lastIndex { $0 <= offset }!
    return ranges[next].lowerBound + offset - offsets[next]
  }

  /// What of `range` lies in these ranges, ascending.
  package func pieces(of range: Range<Int>) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    for next in firstEnding(after: range.lowerBound)..<ranges.count {
      let piece = ranges[next].clamped(to: range)
      if piece.isEmpty { break }
      pieces.append(piece)
    }
    return pieces
  }

  /// The first range that ends beyond `index`, by bisection.
  private func firstEnding(after index: Int) -> Int {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound > index { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
