extension ScalarDecayChunk {
  func prepareStateGradient() {
    let x = buffers
    Rows.scale(
      x.dO, stride: x.ldV, rows: x.tokens, columns: x.V, by: inward, into: dOIn, ld: x.ldV)
  }

  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    multiply(
      x.q, lda: x.ldK, transposed: true, dOIn, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: dState.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
  }

  func gradientsIntra() {
    let x = buffers
    let n = x.tokens
    multiplyTransposedRight(
      x.q, lda: x.ldK, x.k, ldb: x.ldK, into: x.p, ldc: x.ldC, rows: n, columns: n, inner: x.K,
      structure: .lowerResult, scratch: x.kT)
    multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: n, columns: n, inner: x.V,
      structure: .lowerResult, scratch: x.vT)
    applyDecaysBackward()
    multiply(
      x.dP, lda: x.ldC, x.k, ldb: x.ldK, into: x.dq, ldc: x.ldK, rows: n, columns: x.K, inner: n,
      structure: .lowerLeft)
    multiply(
      x.dP, lda: x.ldC, transposed: true, x.q, ldb: x.ldK, into: x.dk, ldc: x.ldK, rows: n,
      columns: x.K, inner: n, structure: .upperLeft)
    multiply(
      x.p, lda: x.ldC, transposed: true, x.dO, ldb: x.ldV, into: x.dv, ldc: x.ldV, rows: n,
      columns: x.N, inner: n, structure: .upperLeft)
  }

  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    let x = buffers
    let n = x.tokens
    Rows.scale(x.k, stride: x.ldK, rows: n, columns: x.K, by: outward, into: x.kOut, ld: x.ldK)
    multiply(
      x.kOut, lda: x.ldK, dState, ldb: x.V, into: x.dv, ldc: x.ldV, rows: n, columns: x.N,
      inner: x.K, store: .add)
    addAcross(state, dOIn, x.q, to: x.dq, dots: queryDots)
    addAcross(dState, vOut, x.k, to: x.dk, dots: keyDots)
    guard kernel.decay == .scalar else { return }
    var reads = 0.0
    for i in (0..<n).reversed() {
      reads += Double(queryDots[i])
      x.dg[i] = Float(reads)
    }
    var writes = Double(total) * Double(Rows.dot(state, dState, count: x.K * x.V))
    for i in 0..<n {
      x.dg[i] = Float(Double(x.dg[i]) + writes)
      writes += Double(keyDots[i])
    }
  }

  /// `gradient ← gradient + left · stateᵀ`; a decay from data needs that term's products with `rows`.
  private func addAcross(
    _ state: UnsafePointer<Float>, _ left: UnsafePointer<Float>, _ rows: UnsafePointer<Float>,
    to gradient: UnsafeMutablePointer<Float>, dots: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    let isScalar = kernel.decay == .scalar
    multiplyTransposedRight(
      left, lda: x.ldV, state, ldb: x.V, into: isScalar ? x.term : gradient, ldc: x.ldK,
      rows: x.tokens, columns: x.K, inner: x.V, store: isScalar ? .replace : .add,
      scratch: x.stateT)
    guard isScalar else { return }
    for i in 0..<x.tokens { dots[i] = Rows.dot(rows + i * x.ldK, x.term + i * x.ldK, count: x.K) }
    Rows.add(
      x.term, stride: x.ldK, rows: x.tokens, columns: x.K, into: gradient, ld: x.ldK)
  }
}
