import Tensors

/// Causal softmax attention of one head, in tiles: no array of all scores ever exists.
///
/// Concretely: `o_t = Σ_j softmax_j(scale · q_t k_j) v_j` over the keys `j` from `lowest_t` to `t`. Keys may
/// come in blocks, in any order: the sums of those absorbed so far are kept unnormalised, relative to the
/// largest score so far (online softmax), and divided once at the end. The backward twin computes the
/// probabilities of a tile again from the stored log of the sum.
///
/// Where queries and keys have sums of log gates F, the scores are `scale · q_t k_j + F_t − F_j`, as `ForgettingBias` forms
/// them.
///
/// Scores of a tile are kept as `[keys, queries]`, so that maxima and sums run along whole registers.
///
/// - Source: "FlashAttention-2" (arXiv 2307.08691), Algorithms 1 and 2.
package struct SoftmaxAttention: Sendable {
  /// Numbers of a query or key.
  package let dimension: Int
  /// Numbers of a value or output.
  package let valueDimension: Int
  /// What scores are multiplied by.
  package let scale: Float
  /// What its products read: fp32, or numbers that are rounded to bf16 for them.
  let operands: Operand.Kind

  /// - Parameter valueDimension: Nil where values have as many numbers as keys.
  package init(
    dimension: Int, valueDimension: Int? = nil, scale: Float, operands: Operand.Kind = .float
  ) {
    let values = valueDimension ?? dimension
    precondition(
      dimension > 0 && values > 0,
      "attention heads of \(dimension) numbers, with values of \(values)")
    (self.dimension, self.valueDimension) = (dimension, values)
    (self.scale, self.operands) = (scale, operands)
  }

  /// The greater of both, for which scratch has room.
  private var width: Int { max(dimension, valueDimension) }

  /// A thread's scratch, divided.
  func scratch(_ room: UnsafeMutablePointer<Float>) -> Scratch { Scratch(room, width) }

  /// Queries of one (row, head) and what they may see.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Queries: @unchecked Sendable {
    let q: TokenRows
    let tokens, first: Int
    let lowest: UnsafePointer<Int32>
    let logSums: UnsafePointer<Double>?

    /// Describes the queries of a shard.
    ///
    /// - Parameters:
    ///   - q: `dimension` floats a token.
    ///   - first: The position of the first.
    ///   - lowest: For each token, the lowest position that it sees; never falls from one to the next.
    ///   - logSums: For each token, the sum of the log gates up to it; nil where nothing is forgotten.
    package init(
      _ q: TokenRows, tokens: Int, first: Int, lowest: UnsafePointer<Int32>,
      logSums: UnsafePointer<Double>? = nil
    ) {
      (self.q, self.tokens, self.first, self.lowest) = (q, tokens, first, lowest)
      self.logSums = logSums
    }
  }

  /// A block of keys and values at consecutive positions.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Keys: @unchecked Sendable {
    let k, v: TokenRows
    let tokens, first: Int
    let logSums: UnsafePointer<Double>?

    /// Describes a block whose first key stands at the position `first`.
    ///
    /// - Parameter logSums: As the queries', from the same token on.
    package init(
      _ k: TokenRows, _ v: TokenRows, tokens: Int, first: Int,
      logSums: UnsafePointer<Double>? = nil
    ) {
      (self.k, self.v, self.tokens, self.first) = (k, v, tokens, first)
      self.logSums = logSums
    }
  }

  /// What the queries have absorbed so far.
  ///
  /// Unchecked: each thread writes the sums of its own units or tiles, which its caller keeps alive.
  package struct Sums: @unchecked Sendable {
    let o: MutableTokenRows
    let maximum, sum: UnsafeMutablePointer<Float>

    /// Outputs, `valueDimension` floats a token; and two floats a token, of which the first is the log of the sum
    /// in the end.
    package init(
      o: MutableTokenRows, maximum: UnsafeMutablePointer<Float>, sum: UnsafeMutablePointer<Float>
    ) {
      (self.o, self.maximum, self.sum) = (o, maximum, sum)
    }
  }

  /// Queries of a tile.
  package static let tile = 64
  /// Keys of a tile.
  static let keyTile = 64

  /// Tiles that so many queries fill.
  package static func tiles(_ tokens: Int) -> Int { (tokens + tile - 1) / tile }

  /// Floats of scratch of a thread, for either pass.
  package var scratchCount: Int { Scratch.count(width, pairs: operands == .bfloat16) }

  /// Starts the sums of all queries.
  package func begin(_ sums: Sums, tokens: Range<Int>) {
    for token in tokens {
      sums.o[token].update(repeating: 0, count: valueDimension)
      sums.maximum[token] = -1e30
      sums.sum[token] = 0
    }
  }

  /// Adds a block of keys and values to the sums of some tiles of queries.
  ///
  /// - Parameters:
  ///   - maximal: Of each query, receives the position of the key of its largest score, where the block has it; nil
  ///     where nobody asks.
  ///   - scratch: `scratchCount` floats.
  package func absorb(
    _ keys: Keys, _ queries: Queries, into sums: Sums, tiles: Range<Int>,
    maximal: UnsafeMutablePointer<Int32>? = nil, scratch: UnsafeMutablePointer<Float>
  ) {
    let x = self.scratch(scratch)
    let d = valueDimension
    for tile in tiles {
      let view = TileView(queries, keys, tile: tile)
      let bias = ForgettingBias(queries, keys, view, scratch: x.gates)
      let seen = bias?.seen ?? view.keys
      guard !seen.isEmpty else { continue }
      let n = view.count
      packQueries(queries.q, view, into: x)
      Rows.copy(
        sums.o[view.start], stride: sums.o.stride, rows: n, columns: d, into: x.o, ld: x.ldD)
      for start in stride(from: seen.lowerBound, to: seen.upperBound, by: Self.keyTile) {
        let count = min(Self.keyTile, seen.upperBound - start)
        formScores(keys.k, from: start, count: count, queries: n, x)
        bias?.add(to: x.p, from: start, count: count)
        view.mask(x.p, from: start, count: count)
        if let maximal {
          findMaxima(
            x.p, keys: count, queries: n, first: keys.first + start,
            above: sums.maximum + view.start, into: maximal + view.start, scratch: x.gates)
        }
        renormalize(
          x.p, keys: count, queries: n, maximum: sums.maximum + view.start,
          sum: sums.sum + view.start, factors: x.factors)
        addToQueries(
          x.p, keys.v, columns: d, from: start, count: count, queries: n, x,
          store: .addScaled(x.o, ld: x.ldD, by: x.factors))
      }
      Rows.copy(
        x.o, stride: x.ldD, rows: n, columns: d, into: sums.o[view.start], ld: sums.o.stride)
    }
  }

  /// Divides the sums: `o` is the output, `maximum` the log of the sum of `e^score`.
  package func finish(_ sums: Sums, tokens: Range<Int>) {
    for token in tokens {
      let (o, inverse) = (sums.o[token], 1 / sums.sum[token])
      for i in 0..<valueDimension { o[i] *= inverse }
      sums.maximum[token] += VectorMath.log(sums.sum[token])
    }
  }

  /// `scale · Qᵀ` of a tile, `[dimension, tile]`.
  func packQueries(_ q: TokenRows, _ view: TileView, into qT: UnsafeMutablePointer<Float>) {
    SmallMatrix.transpose(
      q[view.start], ld: q.stride, rows: view.count, columns: dimension, into: qT, ld: Self.tile)
    for i in 0..<dimension {
      let row = qT + i * Self.tile
      for j in 0..<view.count { row[j] *= scale }
    }
  }

  /// Turns a tile's scores into `e^(score − maximum)` with the new maxima, and brings the sums up to date.
  ///
  /// - Parameter factors: Receives what the queries' earlier sums are to be multiplied by.
  private func renormalize(
    _ p: UnsafeMutablePointer<Float>, keys: Int, queries: Int,
    maximum: UnsafeMutablePointer<Float>, sum: UnsafeMutablePointer<Float>,
    factors: UnsafeMutablePointer<Float>
  ) {
    var j = 0
    while j < queries {
      let n = min(Lanes.width, queries &- j)
      let old = Lanes.load(maximum + j, count: n)
      var (a, b) = (old, old)
      var i = 0
      while i &+ 2 <= keys {
        let (x, y) = (
          Lanes.load(p + (i &* Self.tile &+ j)), Lanes.load(p + ((i &+ 1) &* Self.tile &+ j))
        )
        a = a.replacing(with: x, where: x .> a)
        b = b.replacing(with: y, where: y .> b)
        i &+= 2
      }
      if i < keys {
        let x = Lanes.load(p + (i &* Self.tile &+ j))
        a = a.replacing(with: x, where: x .> a)
      }
      let new = a.replacing(with: b, where: b .> a)
      let factor = Lanes.exp(old - new)
      var total = Lanes()
      i = 0
      while i < keys {
        let place = p + (i &* Self.tile &+ j)
        let e = Lanes.exp(Lanes.load(place) - new)
        e.store(place)
        total = total + e
        i &+= 1
      }
      factor.store(factors + j, count: n)
      new.store(maximum + j, count: n)
      total.addingProduct(factor, Lanes.load(sum + j, count: n)).store(sum + j, count: n)
      j &+= Lanes.width
    }
  }
}

extension SoftmaxAttention {
  typealias Scratch = AttentionScratch
}
