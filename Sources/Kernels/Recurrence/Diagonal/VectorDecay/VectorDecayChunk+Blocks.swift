extension VectorDecayChunk {
  /// Rows against columns of `P`, with a reference token.
  struct Block {
    let rows, columns: Range<Int>
    let reference: Int
    var isDiagonal: Bool { rows == columns }
  }

  /// Blocks that cover the lower triangle of tokens `lower..<upper`; a diagonal one comes before those beside it.
  func forEachBlock(_ lower: Int, _ upper: Int, _ body: (Block) -> Void) {
    if isMild || upper - lower <= 1 || isMild(lower, upper) {
      guard upper > lower else { return }
      return body(Block(rows: lower..<upper, columns: lower..<upper, reference: upper - 1))
    }
    // Whole registers where there are several, so that a row's zeros beside its diagonal reach far enough.
    let (size, width) = (upper - lower, Lanes.width)
    let seam = lower + (size > width ? max(width, size / 2 / width * width) : size / 2)
    forEachBlock(lower, seam, body)
    forEachBlock(seam, upper, body)
    body(Block(rows: seam..<upper, columns: lower..<seam, reference: seam - 1))
  }

  /// Whether no channel decays by more than e^−60 from the first to the last of the tokens.
  private func isMild(_ lower: Int, _ upper: Int) -> Bool {
    let (first, last) = (after + lower * buffers.ldK, after + (upper - 1) * buffers.ldK)
    var largest: Float = 0
    for d in 0..<buffers.K { largest = max(largest, last[d] - first[d]) }
    return largest < 60
  }

  /// Sets a block's factors, and `q` and `k` times them; gives the latter two.
  func prepare(_ block: Block) -> (q: UnsafePointer<Float>, k: UnsafePointer<Float>) {
    let k = prepareColumns(block)
    multiply(block.rows, buffers.q, rowFactors, into: rows)
    return (UnsafePointer(rows + block.rows.lowerBound * buffers.ldK), k)
  }

  /// Sets a block's factors, and `k` times them, which it gives.
  func prepareColumns(_ block: Block) -> UnsafePointer<Float> {
    let ldK = buffers.ldK
    if isMild { return UnsafePointer(buffers.kOut) }
    forEachRegister(block.columns) { x, d in
      decay(from: x, to: block.reference &* ldK &+ d).store(columnFactors + x)
    }
    multiply(block.columns, buffers.k, columnFactors, into: columns)
    let scale = Lanes(repeating: kernel.scale)
    // Up to which token before a row its query's decays go.
    let back = kernel.isExclusive ? ldK : 0
    if block.isDiagonal {
      let (first, rest) = kernel.isExclusive ? (1, block.rows.dropFirst()) : (0, block.rows)
      forEachRegister(block.rows.prefix(first)) { x, _ in Lanes().store(rowFactors + x) }
      forEachRegister(rest) { x, _ in
        (scale / Lanes.load(columnFactors + (x &- back))).store(rowFactors + x)
      }
    } else {
      forEachRegister(block.rows) { x, d in
        (scale * decay(from: block.reference &* ldK &+ d, to: x &- back)).store(rowFactors + x)
      }
    }
    return UnsafePointer(columns + block.columns.lowerBound * ldK)
  }

  /// The factors of a block's columns.
  var factorsOfColumns: UnsafePointer<Float> { UnsafePointer(isMild ? outward : columnFactors) }

  /// `e^{b_t−b_s}` at the places of two tokens' channels.
  @inline(__always)
  private func decay(from s: Int, to t: Int) -> Lanes {
    Lanes.exp(
      (Lanes.load(after + s) - Lanes.load(after + t))
        + (Lanes.load(afterLow + s) - Lanes.load(afterLow + t)))
  }

  private func multiply(
    _ tokens: Range<Int>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    into product: UnsafeMutablePointer<Float>
  ) {
    forEachRegister(tokens) { x, _ in (Lanes.load(a + x) * Lanes.load(b + x)).store(product + x) }
  }

  /// A block of `P`.
  func scores(_ block: Block, _ factored: (q: UnsafePointer<Float>, k: UnsafePointer<Float>)) {
    let x = buffers
    SmallMatrix.multiplyTransposedRight(
      factored.q, lda: x.ldK, factored.k, ldb: x.ldK,
      into: x.p + (block.rows.lowerBound * x.ldC + block.columns.lowerBound), ldc: x.ldC,
      rows: block.rows.count, columns: block.columns.count, inner: x.K,
      structure: block.isDiagonal ? .lowerResult : .full, scratch: x.kT)
  }

  /// Zeros above the diagonal (and on it) up to the register's end.
  func keepLower(_ matrix: UnsafeMutablePointer<Float>, strictly: Bool) {
    let ldC = buffers.ldC
    for i in 0..<buffers.tokens {
      let start = i / Lanes.width * Lanes.width
      let row = matrix + (i * ldC + start)
      Lanes.load(row, count: i - start + (strictly ? 0 : 1)).store(row)
    }
  }
}
