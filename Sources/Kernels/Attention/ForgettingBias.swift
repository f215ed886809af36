/// What forgetting gates add to the scores of a tile: `F_i − F_j`, the sum of the log gates from after a key up to a query.
///
/// F itself has thousands in it, of which fp32 would leave no digits to a difference. It is given in Double, and
/// what is rounded is a sum of numbers of one sign: of a key before the tile, that from the key to the tile's first
/// query and that from there to each query; of a key in the tile, that of each pair.
///
/// - Source: Forgetting Transformer (arXiv 2503.02130), section 3.
struct ForgettingBias {
  /// What a key is passed over below, in nats: beside a query's own key it weighs nothing in fp32, unless its score is
  /// larger by dozens.
  private static let least = -100.0

  private let view: TileView
  /// F of the tile's queries, and of the block's keys.
  private let queries, keys: UnsafePointer<Double>
  /// F of each query less that of the tile's first.
  private let rows: UnsafeMutablePointer<Float>

  /// Prepares a tile; nil where nothing is forgotten.
  ///
  /// - Parameter scratch: A float for each query of a tile.
  init?(
    _ queries: SoftmaxAttention.Queries, _ block: SoftmaxAttention.Keys, _ view: TileView,
    scratch: UnsafeMutablePointer<Float>
  ) {
    guard let sums = queries.logSums, let keys = block.logSums else { return nil }
    (self.view, self.queries, self.keys, rows) = (view, sums + view.start, keys, scratch)
    for j in 0..<SoftmaxAttention.tile {
      rows[j] = j < view.count ? Float(self.queries[j] - self.queries[0]) : 0
    }
  }

  /// The keys that are not forgotten, of those that the tile sees: F falls from token to token, so they are the last.
  var seen: Range<Int> {
    var (low, high) = (
      view.keys.lowerBound, max(view.keys.lowerBound, min(view.diagonal, view.keys.upperBound))
    )
    while low < high {
      let middle = (low + high) / 2
      if queries[0] - keys[middle] < Self.least { low = middle + 1 } else { high = middle }
    }
    return low..<view.keys.upperBound
  }

  /// Adds to the gradients of F what a tile's scores give: `dF_i += Σ_j dS_ij / scale`, `dF_j −= Σ_i dS_ij / scale`.
  ///
  /// A query's sum over all of its keys is zero. What rounding leaves of it is left in the keys' sums too, where it would
  /// add up over all later tokens; so both are kept, and both are summed in Double.
  ///
  /// - Parameters:
  ///   - dS: The gradients of the scores times `scale`, `[keys, tile]`.
  ///   - queries: Sums of all queries of the head, in Double.
  func addGradients(
    _ dS: UnsafePointer<Float>, scale: Float, from start: Int, count: Int,
    keys: MutableTokenRows, queries: UnsafeMutablePointer<Double>
  ) {
    let (queries, factor) = (queries + view.start, 1 / Double(scale))
    for i in 0..<count {
      let row = dS + i * SoftmaxAttention.tile
      var sum = SIMD8<Double>()
      var j = 0
      while j &+ 8 <= view.count {
        let d = SIMD8<Double>(UnsafeRawPointer(row + j).loadUnaligned(as: SIMD8<Float>.self))
        let target = UnsafeMutableRawPointer(queries + j)
        target.storeBytes(
          of: target.loadUnaligned(as: SIMD8<Double>.self) + d * factor, as: SIMD8<Double>.self)
        sum += d
        j &+= 8
      }
      var total = sum.sum()
      while j < view.count {
        total += Double(row[j])
        queries[j] += Double(row[j]) * factor
        j &+= 1
      }
      keys[start + i][0] -= Float(total * factor)
    }
  }

  /// Adds to the scores of `count` keys from `start` on, `[keys, tile]`.
  func add(to p: UnsafeMutablePointer<Float>, from start: Int, count: Int) {
    for i in 0..<count {
      let (row, key) = (p + i * SoftmaxAttention.tile, start + i)
      guard key < view.diagonal else {
        for j in 0..<view.count { row[j] += Float(queries[j] - keys[key]) }
        continue
      }
      let bias = Lanes(repeating: Float(queries[0] - keys[key]))
      for j in stride(from: 0, to: view.count, by: Lanes.width) {
        (Lanes.load(row + j) + (bias + Lanes.load(rows + j))).store(row + j)
      }
    }
  }
}
