extension VectorDecayChunk {
  func prepareStateGradient() { prepareInter() }

  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    SmallMatrix.multiply(
      x.qIn, lda: x.ldK, transposed: true, x.dO, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: dState.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
  }

  func gradientsIntra() {
    let x = buffers
    let n = x.tokens
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: n, columns: n, inner: x.V,
      structure: .lowerResult, scratch: x.vT)
    for i in 0..<n { diagonal[i] = kernel.scale * x.dP[i * x.ldC + i] }
    keepLower(x.dP, strictly: true)
    forEachBlock(0, n) { block in
      let factored = prepare(block)
      scores(block, factored)
      scoreGradients(block, factored)
    }
    keepLower(x.p, strictly: false)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, transposed: true, x.dO, ldb: x.ldV, into: x.dv, ldc: x.ldV, rows: n,
      columns: x.V, inner: n, structure: .upperLeft)
    finishIntra()
  }

  /// `dq` of a block's rows and `dk` of its columns, without `i = j`.
  private func scoreGradients(
    _ block: Block, _ factored: (q: UnsafePointer<Float>, k: UnsafePointer<Float>)
  ) {
    let x = buffers
    let dP = x.dP + (block.rows.lowerBound * x.ldC + block.columns.lowerBound)
    let (height, width) = (block.rows.count, block.columns.count)
    SmallMatrix.multiply(
      dP, lda: x.ldC, factored.k, ldb: x.ldK, into: x.term, ldc: x.ldK, rows: height,
      columns: x.K, inner: width, structure: block.isDiagonal ? .lowerLeft : .full)
    apply(rowFactors, block.rows, adds: !block.isDiagonal, to: x.dq)
    SmallMatrix.multiply(
      dP, lda: x.ldC, transposed: true, factored.q, ldb: x.ldK, into: x.term, ldc: x.ldK,
      rows: width, columns: x.K, inner: height, structure: block.isDiagonal ? .upperLeft : .full)
    apply(columnFactors, block.columns, adds: !block.isDiagonal, to: x.dk)
  }

  /// `gradient ← factors ⊙ term`, or the sum.
  private func apply(
    _ factors: UnsafePointer<Float>, _ tokens: Range<Int>, adds: Bool,
    to gradient: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    for i in tokens {
      let (term, factor) = (x.term + (i - tokens.lowerBound) * x.ldK, factors + i * x.ldK)
      let target = gradient + i * x.ldK
      if adds {
        for d in 0..<x.K { target[d] = target[d].addingProduct(term[d], factor[d]) }
      } else {
        for d in 0..<x.K { target[d] = term[d] * factor[d] }
      }
    }
  }

  /// `dg` of the terms `i > j`, then the terms `i = j` of `dq` and `dk`, which `dg` has not.
  private func finishIntra() {
    let x = buffers
    sums.update(repeating: 0, count: x.K)
    for i in (0..<x.tokens).reversed() {
      let (q, k) = (x.q + i * x.ldK, x.k + i * x.ldK)
      let (dq, dk, dg) = (x.dq + i * x.ldK, x.dk + i * x.ldK, x.dg + i * x.ldK)
      let own = diagonal[i]
      for d in 0..<x.K {
        sums[d] += q[d] * dq[d] - k[d] * dk[d]
        dg[d] = sums[d]
        dq[d] = dq[d].addingProduct(own, k[d])
        dk[d] = dk[d].addingProduct(own, q[d])
      }
    }
  }

  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    let x = buffers
    let n = x.tokens
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, dState, ldb: x.V, into: x.dv, ldc: x.ldV, rows: n, columns: x.V,
      inner: x.K, store: .add)
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, state, ldb: x.V, into: x.term, ldc: x.ldK, rows: n, columns: x.K,
      inner: x.V, scratch: x.stateT)
    sums.update(repeating: 0, count: x.K)
    for i in (0..<n).reversed() {
      let (q, term, factor) = (x.q + i * x.ldK, x.term + i * x.ldK, inward + i * x.ldK)
      let (dq, dg) = (x.dq + i * x.ldK, x.dg + i * x.ldK)
      for d in 0..<x.K {
        let y = kernel.scale * term[d] * factor[d]
        dq[d] += y
        sums[d] += q[d] * y
        dg[d] = sums[d]
      }
    }
    SmallMatrix.multiplyTransposedRight(
      x.v, lda: x.ldV, dState, ldb: x.V, into: x.term, ldc: x.ldK, rows: n, columns: x.K,
      inner: x.V, scratch: x.stateT)
    for d in 0..<x.K {
      sums[d] = x.totals[d] * Rows.dot(state + d * x.V, dState + d * x.V, count: x.V)
    }
    for j in 0..<n {
      let (k, term, factor) = (x.k + j * x.ldK, x.term + j * x.ldK, outward + j * x.ldK)
      let (dk, dg) = (x.dk + j * x.ldK, x.dg + j * x.ldK)
      for d in 0..<x.K {
        let y = term[d] * factor[d]
        dk[d] += y
        dg[d] += sums[d]
        sums[d] += k[d] * y
      }
    }
  }
}
