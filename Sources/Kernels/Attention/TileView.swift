/// A tile of queries against a block of keys: which keys count, and where their edge runs.
struct TileView {
  /// The tile's first query in the shard, and how many it has.
  let start, count: Int
  /// Keys of the block that some query of the tile sees.
  let keys: Range<Int>
  /// The position of the tile's first query, relative to the block's first key.
  let diagonal: Int
  /// The lowest key of each query of the tile, as a position, and the block's first position.
  private let lowest: UnsafePointer<Int32>
  private let first: Int

  init(_ queries: SoftmaxAttention.Queries, _ block: SoftmaxAttention.Keys, tile: Int) {
    start = tile * SoftmaxAttention.tile
    count = min(SoftmaxAttention.tile, queries.tokens - start)
    diagonal = queries.first + start - block.first
    lowest = queries.lowest + start
    first = block.first
    let from = max(Int(lowest[0]) - first, 0)
    let end = min(diagonal + count, block.tokens)
    keys = from..<max(from, end)
  }

  /// The tile's queries that see none but `keys` keys of the block from `start` on.
  func whole(from start: Int, count keys: Int) -> Range<Int> {
    let end = min(max(start + keys - diagonal, 0), count)
    var begin = 0
    while begin < end, Int(lowest[begin]) < first + start { begin += 1 }
    return begin..<end
  }

  /// Sets the scores of keys that queries do not see to −∞; `p` is `[keys, tile]` from the key `start` on.
  func mask(_ p: UnsafeMutablePointer<Float>, from start: Int, count keys: Int) {
    fill(p, from: start, count: keys, with: -.infinity)
  }

  /// Sets what belongs to keys that queries do not see to 0, likewise.
  func clear(_ p: UnsafeMutablePointer<Float>, from start: Int, count keys: Int) {
    fill(p, from: start, count: keys, with: 0)
  }

  @inline(__always)
  private func fill(
    _ p: UnsafeMutablePointer<Float>, from start: Int, count keys: Int, with value: Float
  ) {
    if start + keys - 1 <= diagonal && first + start >= Int(lowest[count - 1]) { return }
    var end = 0
    for i in 0..<keys {
      let (row, key) = (p + i * SoftmaxAttention.tile, start + i)
      // Queries from the key's own position on see it, until a document or the window has moved past it.
      while end < count, Int(lowest[end]) <= first + key { end += 1 }
      let begin = min(max(key - diagonal, 0), count)
      for j in 0..<begin { row[j] = value }
      for j in min(max(end, begin), count)..<count { row[j] = value }
    }
  }
}
