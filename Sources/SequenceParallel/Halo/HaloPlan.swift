/// Which ranks hold the tokens before each shard.
///
/// A rank's halo is the `width` tokens before its shard; it may span several short or empty shards. What
/// came before the whole sequence, at negative positions, counts as the first rank's. Every rank derives the
/// same plan from the layout, so nobody asks anybody.
struct HaloPlan {
  let layout: SequenceLayout
  /// Tokens of a halo.
  let width: Int
  /// The most tokens that may have come before the sequence.
  let carried: Int
  /// Whether the last rank passes the sequence's last tokens on, and needs a halo even without tokens.
  let keepsRight: Bool

  /// Tokens of one rank that another needs, as positions counted from the layout's start.
  struct Transfer {
    let rank: Int
    let tokens: Range<Int>
  }

  /// The positions of a rank's halo; a rank without tokens that passes nothing on has none.
  func halo(of rank: Int) -> Range<Int> {
    let shard = layout.shard(of: rank)
    let isLast = rank == layout.shardLengths.count - 1
    guard !shard.isEmpty || (isLast && keepsRight) else {
      return shard.lowerBound..<shard.lowerBound
    }
    return max(shard.lowerBound - width, -carried)..<shard.lowerBound
  }

  /// What other ranks send for this rank's halo, in order; the first rank needs nobody.
  var sources: [Transfer] {
    let halo = halo(of: layout.rank)
    return transfers((0..<layout.rank).map { ($0, held(by: $0).clamped(to: halo)) })
  }

  /// What this rank sends for the halos of the ranks after it, in order.
  var destinations: [Transfer] {
    let held = held(by: layout.rank)
    let after = layout.rank + 1..<max(layout.shardLengths.count, layout.rank + 1)
    return transfers(after.map { ($0, held.clamped(to: halo(of: $0))) })
  }

  private func held(by rank: Int) -> Range<Int> {
    let shard = layout.shard(of: rank)
    return rank == 0 ? -carried..<shard.upperBound : shard
  }

  private func transfers(_ ranges: [(Int, Range<Int>)]) -> [Transfer] {
    ranges.filter { !$0.1.isEmpty }.map { Transfer(rank: $0.0, tokens: $0.1) }
  }
}
