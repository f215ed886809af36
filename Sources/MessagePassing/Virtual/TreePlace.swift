/// Where a rank stands in the tree by which something is reduced, or spread.
///
/// Concretely: the ranks 0..<n are halved again and again, and the partial results of the two halves are
/// combined, the lower half's first. This order is a function of n alone. Which rank does it is not part of
/// it: a node's head is its `owner` where that is one of its ranks, else one that the owner's bits choose, so
/// that the trees of many owners share the work. Every rank passes its result on once and takes in those of
/// `below`, so the messages form a tree, along which a result comes back the other way.
struct TreePlace: Equatable {
  /// The ranks whose partial results this rank takes in, in this order.
  private(set) var below: [Int] = []
  /// The rank that takes this one's result; none for the owner.
  private(set) var above: Int?

  /// Places `rank` among `size` ranks in the tree of `owner`.
  init(of rank: Int, among size: Int, owner: Int) {
    var path: [Range<Int>] = []
    var node = 0..<size
    while node.count > 1 {
      path.append(node)
      node = Self.half(of: node, with: rank)
    }
    for node in path.reversed() {
      guard Self.head(of: node, owner) == rank else {
        above = Self.head(of: node, owner)
        return
      }
      let middle = Self.middle(of: node)
      let other = rank < middle ? middle..<node.upperBound : node.lowerBound..<middle
      below.append(Self.head(of: other, owner))
    }
  }

  private static func head(of node: Range<Int>, _ owner: Int) -> Int {
    var node = node
    while node.count > 1 {
      let bits = Int.bitWidth - (node.count - 1).leadingZeroBitCount
      let isUpper = owner >> (bits - 1) & 1 == 1
      let guide = node.contains(owner) ? owner : isUpper ? node.upperBound - 1 : node.lowerBound
      node = half(of: node, with: guide)
    }
    return node.lowerBound
  }

  private static func half(of node: Range<Int>, with rank: Int) -> Range<Int> {
    let middle = middle(of: node)
    return rank < middle ? node.lowerBound..<middle : middle..<node.upperBound
  }

  private static func middle(of node: Range<Int>) -> Int {
    node.lowerBound + (node.count + 1) / 2
  }
}
