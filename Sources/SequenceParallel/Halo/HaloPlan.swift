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
  /// Whether the first rank tells every rank that has a halo how much came before the sequence, even where it holds none
  /// of the halo's tokens.
  var announces = false

  /// Tokens of one rank that another needs, as positions counted from the layout's start.
  struct Transfer {
    let rank: Int
    let tokens: Range<Int>
  }

  /// The positions of a rank's halo; a rank without tokens that passes nothing on has none.
  func halo(of rank: Int) -> Range<Int> {
    let shard = layout.shard(of: rank)
    guard hasHalo(rank) else { return shard.lowerBound..<shard.lowerBound }
    return max(shard.lowerBound - width, -carried)..<shard.lowerBound
  }

  private func hasHalo(_ rank: Int) -> Bool {
    let isLast = rank == layout.shardLengths.count - 1
    return !layout.shard(of: rank).isEmpty || (isLast && keepsRight)
  }

  /// What other ranks send for this rank's halo, in order; the first rank needs nobody.
  var sources: [Transfer] {
    let halo = halo(of: layout.rank)
    return transfers(
      (0..<layout.rank).map { ($0, $0, layout.rank, held(by: $0).clamped(to: halo)) })
  }

  /// What this rank sends for the halos of the ranks after it, in order.
  var destinations: [Transfer] {
    let held = held(by: layout.rank)
    let after = layout.rank + 1..<max(layout.shardLengths.count, layout.rank + 1)
    return transfers(after.map { ($0, layout.rank, $0, held.clamped(to: halo(of: $0))) })
  }

  private func held(by rank: Int) -> Range<Int> {
    let shard = layout.shard(of: rank)
    return rank == 0 ? -carried..<shard.upperBound : shard
  }

  private func transfers(
    _ ranges: [(rank: Int, from: Int, to: Int, tokens: Range<Int>)]
  ) -> [Transfer] {
    ranges.filter { !$0.tokens.isEmpty || (announces && $0.from == 0 && hasHalo($0.to)) }
      .map { Transfer(rank: $0.rank, tokens: $0.tokens) }
  }
}
