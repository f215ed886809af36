import Tensors

extension VectorDecayChunk {
  /// Rows against columns of `P`, with a reference token.
  struct Block {
    let rows, columns: Range<Int>
    let reference: Int
    var isDiagonal: Bool { rows == columns }
  }

  /// Blocks that cover the lower triangle of tokens `lower..<upper`; a diagonal one comes before those beside it.
  func forEachBlock(_ lower: Int, _ upper: Int, _ body: (Block) -> Void) {
    if upper - lower <= 1 || isMild(lower, upper) {
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
    let (K, ldK) = (buffers.K, buffers.ldK)
    for j in block.columns {
      let (factor, k) = (columnFactors + j * ldK, buffers.k + j * ldK)
      setFactors(factor, from: j, to: block.reference)
      for d in 0..<K { columns[j * ldK + d] = k[d] * factor[d] }
    }
    for i in block.rows {
      let (factor, q) = (rowFactors + i * ldK, buffers.q + i * ldK)
      if block.isDiagonal {
        let inverse = columnFactors + i * ldK
        for d in 0..<K { factor[d] = kernel.scale / inverse[d] }
      } else {
        setFactors(factor, from: block.reference, to: i)
        for d in 0..<K { factor[d] *= kernel.scale }
      }
      for d in 0..<K { rows[i * ldK + d] = q[d] * factor[d] }
    }
    return (
      UnsafePointer(rows + block.rows.lowerBound * ldK),
      UnsafePointer(columns + block.columns.lowerBound * ldK)
    )
  }

  /// `e^{b_t−b_s}`, which is `e^{after_s−after_t}`.
  private func setFactors(_ factor: UnsafeMutablePointer<Float>, from s: Int, to t: Int) {
    let ldK = buffers.ldK
    let (high, highLow) = (after + s * ldK, afterLow + s * ldK)
    let (base, baseLow) = (after + t * ldK, afterLow + t * ldK)
    for d in 0..<buffers.K {
      factor[d] = VectorMath.exp((high[d] - base[d]) + (highLow[d] - baseLow[d]))
    }
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
