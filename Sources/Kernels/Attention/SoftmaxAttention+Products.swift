/// The products of a tile of queries and a tile of keys, in fp32 or of operands rounded to bf16.
extension SoftmaxAttention {
  /// What scores read of a tile's queries: `scale · Qᵀ`, or pairs of each query's numbers.
  func packQueries(_ q: TokenRows, _ view: TileView, into x: Scratch) {
    guard operands == .bfloat16 else { return packQueries(q, view, into: x.qT) }
    packPairs(q, columns: dimension, view, x.pairs.rows, into: x.pairs.q)
  }

  /// What the backward pass reads of the gradients of a tile's outputs, and of its queries beside that.
  func packGradients(_ dO: TokenRows, _ q: TokenRows, _ view: TileView, into x: Scratch) {
    let rows = view.count
    guard operands == .bfloat16 else {
      return SmallMatrix.transpose(
        dO[view.start], ld: dO.stride, rows: rows, columns: valueDimension, into: x.dOT,
        ld: Self.tile)
    }
    packPairs(dO, columns: valueDimension, view, x.pairs.rows, into: x.pairs.dO)
    for (source, columns, target) in [
      (dO, valueDimension, x.pairs.gradients), (q, dimension, x.pairs.queries),
    ] {
      PairMatrix.packColumns(
        source[view.start], ld: source.stride, rows: rows, columns: columns, into: target,
        pairsLd: x.ldD)
    }
  }

  /// Pairs of each token's numbers, `[h, tile]`, by way of the tokens' rows.
  private func packPairs(
    _ source: TokenRows, columns: Int, _ view: TileView,
    _ rows: UnsafeMutablePointer<PairMatrix.Pair>,
    into pairs: UnsafeMutablePointer<PairMatrix.Pair>
  ) {
    let h = PairMatrix.count(columns)
    PairMatrix.packRows(
      source[view.start], ld: source.stride, rows: view.count, columns: columns, into: rows)
    // Bits that are moved only.
    SmallMatrix.transpose(
      UnsafeMutableRawPointer(rows).assumingMemoryBound(to: Float.self), ld: h, rows: view.count,
      columns: h, into: UnsafeMutableRawPointer(pairs).assumingMemoryBound(to: Float.self),
      ld: Self.tile)
  }

  /// `scale · K Qᵀ` of a tile of keys.
  func formScores(_ k: TokenRows, from start: Int, count: Int, queries n: Int, _ x: Scratch) {
    guard operands == .bfloat16 else {
      return SmallMatrix.multiply(
        k[start], lda: k.stride, x.qT, ldb: Self.tile, into: x.p, ldc: Self.tile, rows: count,
        columns: n, inner: dimension)
    }
    multiply(k, columns: dimension, from: start, count: count, x.pairs.q, queries: n, into: x.p, x)
    let factor = Lanes(repeating: scale)
    for i in 0..<count {
      var place = x.p + i &* Self.tile
      for _ in 0..<(n &+ Lanes.width &- 1) / Lanes.width {
        (factor * Lanes.load(place)).store(place)
        place += Lanes.width
      }
    }
  }

  /// `V dOᵀ` of a tile of keys.
  func formGradients(_ v: TokenRows, from start: Int, count: Int, queries n: Int, _ x: Scratch) {
    guard operands == .bfloat16 else {
      return SmallMatrix.multiply(
        v[start], lda: v.stride, x.dOT, ldb: Self.tile, into: x.dP, ldc: Self.tile, rows: count,
        columns: n, inner: valueDimension)
    }
    multiply(
      v, columns: valueDimension, from: start, count: count, x.pairs.dO, queries: n, into: x.dP, x)
  }

  /// Rows of keys or values times pairs of queries' numbers, `[keys, tile]`.
  private func multiply(
    _ rows: TokenRows, columns: Int, from start: Int, count: Int,
    _ pairs: UnsafeMutablePointer<PairMatrix.Pair>, queries n: Int,
    into c: UnsafeMutablePointer<Float>, _ x: Scratch
  ) {
    let h = PairMatrix.count(columns)
    PairMatrix.packRows(
      rows[start], ld: rows.stride, rows: count, columns: columns, into: x.pairs.rows)
    PairMatrix.multiply(
      x.pairs.rows, row: h, pair: 1, pairs, ldb: Self.tile, into: c, ldc: Self.tile, rows: count,
      columns: n, pairs: h)
  }

  /// What keys give to queries, `[tile, ldD]`: `Sᵀ V`, of probabilities or their gradients `S`, `[keys, tile]`.
  func addToQueries(
    _ s: UnsafePointer<Float>, _ v: TokenRows, columns: Int, from start: Int, count: Int,
    queries n: Int, _ x: Scratch, store: SmallMatrix.Store
  ) {
    guard operands == .bfloat16 else {
      return SmallMatrix.multiply(
        s, lda: Self.tile, transposed: true, v[start], ldb: v.stride, into: x.o, ldc: x.ldD,
        rows: n, columns: columns, inner: count, store: store)
    }
    PairMatrix.packColumns(
      s, ld: Self.tile, rows: count, columns: n, into: x.pairs.scores, pairsLd: Self.tile)
    PairMatrix.packColumns(
      v[start], ld: v.stride, rows: count, columns: columns, into: x.pairs.keys, pairsLd: x.ldD)
    PairMatrix.multiply(
      x.pairs.scores, row: 1, pair: Self.tile, x.pairs.keys, ldb: x.ldD, into: x.o, ldc: x.ldD,
      rows: n, columns: columns, pairs: PairMatrix.count(count), store: store)
  }

  /// What queries give to keys: `S dO`, or `S Q`.
  ///
  /// - Parameters:
  ///   - pairs: The same rows of queries, in pairs of them.
  ///   - columns: Numbers of a row.
  func addToKeys(
    _ s: UnsafePointer<Float>, _ rows: TokenRows, _ pairs: UnsafeMutablePointer<PairMatrix.Pair>,
    columns: Int, _ view: TileView, into target: MutableTokenRows, from start: Int, count: Int,
    _ x: Scratch
  ) {
    guard operands == .bfloat16 else {
      return SmallMatrix.multiply(
        s, lda: Self.tile, rows[view.start], ldb: rows.stride, into: target[start],
        ldc: target.stride, rows: count, columns: columns, inner: view.count, store: .add)
    }
    let h = PairMatrix.count(view.count)
    PairMatrix.packRows(
      s, ld: Self.tile, rows: count, columns: view.count, into: x.pairs.scores)
    PairMatrix.multiply(
      x.pairs.scores, row: h, pair: 1, pairs, ldb: x.ldD, into: target[start], ldc: target.stride,
      rows: count, columns: columns, pairs: h, store: .add)
  }
}
