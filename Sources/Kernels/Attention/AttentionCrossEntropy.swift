import Tensors

/// The cross-entropy of the weights of softmax attention and those of linear attention, of one head, in tiles: no array of
/// all weights ever exists.
///
/// Concretely, with `a_ij = softmax_j(scale · q_i k_j)`, `p_ij = φ(q_i)·φ(k_j)` and `D_i = Σ_j p_ij` over the keys that the
/// student sees: `L_i = −Σ_j a_ij log max(p_ij / D_i, 1e-12)`. A first pass over the keys finds the log of the teacher's
/// sum and `D_i`, a second one the losses; in each, keys may come in blocks, in any order. Back, of weights that are not clamped, `∂L_i/∂p_ij = −a_ij / p_ij + A_i / D_i`,
/// where `A_i` is the sum of their a, and `A_i / D_i` of those that are. Only φ has gradients.
///
/// - Source: Hedgehog (arXiv 2402.04347), section 4.2.
package struct AttentionCrossEntropy: Sendable {
  /// What the teacher's scores are formed of.
  let teacher: SoftmaxAttention
  /// Features of a query and of a key.
  let features: Int

  /// The least weight of the student that is told from others.
  static let least: Float = 1e-12

  package init(dimension: Int, scale: Float, features: Int) {
    precondition(features > 0, "\(features) features")
    teacher = SoftmaxAttention(dimension: dimension, scale: scale)
    self.features = features
  }

  /// What one (row, head) reads.
  package struct Inputs: Sendable {
    let teacher, student: SoftmaxAttention.Queries
    let keys: SoftmaxAttention.Keys

    /// Queries and their features, with the lowest position that teacher and student see; keys and, as their values, the
    /// features of keys.
    package init(
      teacher: SoftmaxAttention.Queries, student: SoftmaxAttention.Queries,
      keys: SoftmaxAttention.Keys
    ) {
      (self.teacher, self.student, self.keys) = (teacher, student, keys)
    }
  }

  /// A number of each query.
  ///
  /// Unchecked: each thread writes those of its own units or tiles, which its caller keeps alive.
  package struct Sums: @unchecked Sendable {
    let logSum, total, covered, loss: UnsafeMutablePointer<Float>

    /// The log of the teacher's sum, `D`, `A` and the loss.
    package init(
      logSum: UnsafeMutablePointer<Float>, total: UnsafeMutablePointer<Float>,
      covered: UnsafeMutablePointer<Float>, loss: UnsafeMutablePointer<Float>
    ) {
      (self.logSum, self.total, self.covered, self.loss) = (logSum, total, covered, loss)
    }
  }

  private static let tile = SoftmaxAttention.tile

  /// Floats of scratch of a thread, for either pass.
  package var scratchCount: Int {
    16 + Self.tile * (teacher.dimension + features + 2 * SoftmaxAttention.keyTile + 1)
  }

  /// A thread's scratch, divided.
  private struct Scratch {
    /// Transposed tiles of queries and of their features.
    let qT, fT: UnsafeMutablePointer<Float>
    /// Scores of the teacher and products of the student, `[keyTile, tile]`.
    let s, p: UnsafeMutablePointer<Float>
    /// A number of each query: its largest score.
    let high: UnsafeMutablePointer<Float>

    init(_ scratch: UnsafeMutablePointer<Float>, _ kernel: AttentionCrossEntropy) {
      qT = UnsafeMutablePointer(bitPattern: (UInt(bitPattern: scratch) + 63) & ~63)!
      fT = qT + kernel.teacher.dimension * tile
      s = fT + kernel.features * tile
      p = s + SoftmaxAttention.keyTile * tile
      high = p + SoftmaxAttention.keyTile * tile
    }
  }

  /// Calls `body` with each tile of keys that a tile of queries sees: the first key, how many, and how many queries; the
  /// scores and products of what is not seen are −∞ and 0.
  private func forEachTile(
    _ inputs: Inputs, _ tile: Int, _ x: Scratch,
    _ body: (_ first: Int, _ keys: Int, _ view: TileView) -> Void
  ) {
    let view = TileView(inputs.student, inputs.keys, tile: tile)
    let teacherView = TileView(inputs.teacher, inputs.keys, tile: tile)
    let (n, ld) = (view.count, Self.tile)
    for start in stride(
      from: view.keys.lowerBound, to: view.keys.upperBound, by: SoftmaxAttention.keyTile)
    {
      let count = min(SoftmaxAttention.keyTile, view.keys.upperBound - start)
      let (k, f) = (inputs.keys.k, inputs.keys.v)
      SmallMatrix.multiply(
        k[start], lda: k.stride, x.qT, ldb: ld, into: x.s, ldc: ld, rows: count, columns: n,
        inner: teacher.dimension)
      teacherView.mask(x.s, from: start, count: count)
      SmallMatrix.multiply(
        f[start], lda: f.stride, x.fT, ldb: ld, into: x.p, ldc: ld, rows: count, columns: n,
        inner: features)
      view.mask(x.p, from: start, count: count)
      for i in 0..<count {
        let row = x.p + i * ld
        for j in 0..<n { row[j] = max(row[j], 0) }
      }
      body(start, count, view)
    }
  }

  private func pack(_ inputs: Inputs, _ tile: Int, _ x: Scratch) {
    let view = TileView(inputs.student, inputs.keys, tile: tile)
    teacher.packQueries(inputs.teacher.q, view, into: x.qT)
    SmallMatrix.transpose(
      inputs.student.q[view.start], ld: inputs.student.q.stride, rows: view.count,
      columns: features, into: x.fT, ld: Self.tile)
  }

  /// Starts the sums of all queries.
  package func begin(_ sums: Sums, tokens: Range<Int>) {
    for token in tokens {
      (sums.logSum[token], sums.total[token]) = (-1e30, 0)
      (sums.covered[token], sums.loss[token]) = (0, 0)
    }
  }

  /// Adds a block of keys to the sums of some tiles of queries: to the teacher's, relative to the largest score so far, and to
  /// `D`.
  package func absorb(
    _ inputs: Inputs, into sums: Sums, tiles: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (x, ld) = (Scratch(scratch, self), Self.tile)
    for tile in tiles where sees(inputs, tile) {
      pack(inputs, tile, x)
      let start = tile * Self.tile
      // Until the sums are finished the teacher's stand in the place of A.
      let (most, total, exponentials) = (
        sums.logSum + start, sums.total + start, sums.covered + start
      )
      forEachTile(inputs, tile, x) { _, keys, view in
        let n = view.count
        x.high.update(from: most, count: n)
        for i in 0..<keys {
          let s = x.s + i * ld
          for j in 0..<n { x.high[j] = max(x.high[j], s[j]) }
        }
        for j in 0..<n { exponentials[j] *= VectorMath.exp(most[j] - x.high[j]) }
        most.update(from: x.high, count: n)
        // Loops that write to two places are not made of vector instructions.
        for i in 0..<keys {
          let (s, p) = (x.s + i * ld, x.p + i * ld)
          for j in 0..<n { exponentials[j] += VectorMath.exp(s[j] - most[j]) }
          for j in 0..<n { total[j] += p[j] }
        }
      }
    }
  }

  /// Turns the teacher's sums into their logs, when every block has been absorbed.
  package func finish(_ sums: Sums, tokens: Range<Int>) {
    for token in tokens {
      sums.logSum[token] += VectorMath.log(sums.covered[token])
      sums.covered[token] = 0
    }
  }

  /// Adds what a block of keys gives to the losses and to A of some tiles of queries, whose sums are finished.
  package func compare(
    _ inputs: Inputs, into sums: Sums, tiles: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (x, ld) = (Scratch(scratch, self), Self.tile)
    for tile in tiles where sees(inputs, tile) {
      pack(inputs, tile, x)
      let start = tile * Self.tile
      let (logSum, total) = (sums.logSum + start, sums.total + start)
      let (covered, loss) = (sums.covered + start, sums.loss + start)
      forEachTile(inputs, tile, x) { _, keys, view in
        for i in 0..<keys {
          let (s, p) = (x.s + i * ld, x.p + i * ld)
          // The teacher's weights and the student's stand in the place of what they are made of.
          for j in 0..<view.count { s[j] = VectorMath.exp(s[j] - logSum[j]) }
          for j in 0..<view.count { p[j] /= total[j] }
          for j in 0..<view.count { loss[j] -= s[j] * VectorMath.log(max(p[j], Self.least)) }
          for j in 0..<view.count { covered[j] += p[j] > Self.least ? s[j] : 0 }
        }
      }
    }
  }

  /// Whether a tile of queries sees any key of the block.
  private func sees(_ inputs: Inputs, _ tile: Int) -> Bool {
    !TileView(inputs.student, inputs.keys, tile: tile).keys.isEmpty
  }

  /// Adds the gradients of features that a block of keys gets and gives.
  ///
  /// - Parameters:
  ///   - dLoss: Of each query's loss.
  ///   - dq: Of the features of queries, added to; `dk`, of keys: heads that share them must run one after another.
  package func backward(
    _ inputs: Inputs, _ sums: Sums, dLoss: UnsafePointer<Float>, dq: MutableTokenRows,
    dk: MutableTokenRows, tiles: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (x, ld, F) = (Scratch(scratch, self), Self.tile, features)
    for tile in tiles where sees(inputs, tile) {
      pack(inputs, tile, x)
      let start = tile * Self.tile
      let (logSum, total, covered) = (
        sums.logSum + start, sums.total + start, sums.covered + start
      )
      let (d, f) = (dLoss + start, inputs.keys.v)
      forEachTile(inputs, tile, x) { first, keys, view in
        let n = view.count
        for i in 0..<keys {
          let (s, p) = (x.s + i * ld, x.p + i * ld)
          for j in 0..<n {
            let (a, isSeen) = (
              VectorMath.exp(s[j] - logSum[j]), p[j] > Self.least * total[j]
            )
            p[j] = d[j] * (covered[j] / total[j] - (isSeen ? a / p[j] : 0))
          }
        }
        // What the student does not see has no gradient.
        view.clear(x.p, from: first, count: keys)
        SmallMatrix.multiply(
          x.p, lda: ld, inputs.student.q[view.start], ldb: inputs.student.q.stride,
          into: dk[first], ldc: dk.stride, rows: keys, columns: F, inner: n, store: .add)
        SmallMatrix.multiply(
          x.p, lda: ld, transposed: true, f[first], ldb: f.stride, into: dq[view.start],
          ldc: dq.stride, rows: n, columns: F, inner: keys, store: .add)
      }
    }
  }
}
