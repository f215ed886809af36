/// Back, with every maximum held constant: with `D` the denominator, `s = dh·h` and `dS'`, `dn'` the gradient of the
/// state after the chunk,
///
///     dN = dh / D        dd = −s/D · sign d where |d| > e^{−m}, else 0      dm = −s ε/D
///     dP = Γ ⊙ (dN Vᵀ + dd 1ᵀ)      Z = P ⊙ (dN Vᵀ + dd 1ᵀ)      Γ_ij = scale · e^{w_j−M_i}
///     dQ = dP K + dQ'       dQ' = scale · e^{m−M} ⊙ (dN Sᵀ + dd nᵀ)
///     dK = dPᵀ Q + dK'      dK' = e^{w−M_C} ⊙ (V dS'ᵀ + 1 dn'ᵀ)         dV = Pᵀ dN + (e^{w−M_C} ⊙ K) dS'
///     df_l = Σ_{i ≥ l > j} Z_ij + Σ_{i ≥ l} q_i·dq'_i + Σ_{j < l} k_j·dk'_j + e^{m−M_C} (⟨S, dS'⟩ + n·dn')
///     di_j = Σ_{i ≥ j} Z_ij + k_j·dk'_j
///
/// to which `dm` adds, from the last token to the first: `m_t` is `i_t`, or `f_t` and `m` before it.
extension MLSTMChunk {
  /// Sets the gates, the maxima with what came in, the denominators and the gradients of `N`, `d` and `m`.
  mutating func load(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ range: Range<Int>,
    entering m: Float, denominators: UnsafePointer<Float>
  ) {
    guard let o = gradient.o else { preconditionFailure("the mLSTM's gradients need the output") }
    setGates(head, range)
    enter(Double(m))
    let x = buffers
    d.update(from: denominators, count: x.tokens)
    prepareDenominators()
    for i in 0..<x.tokens {
      let token = range.lowerBound + i
      let s = Rows.dot(gradient.dO[token], o[token], count: x.V) * inverse[i]
      dM[i] = -s * kernel.epsilon
      dD[i] = d[i].magnitude > floor[i] ? (d[i] < 0 ? s : -s) : 0
    }
    Rows.scale(
      gradient.dO[range.lowerBound], stride: gradient.dO.stride, rows: x.tokens, columns: x.V,
      by: inverse, into: x.dO, ld: x.ldV)
    x.loadQ(head, range)
  }

  /// After `load`: what `addToStateGradient` multiplies.
  func prepareStateGradient() {
    let x = buffers
    prepareInward()
    Rows.scale(
      x.dO, stride: x.ldV, rows: x.tokens, columns: x.V, by: inward, into: dOIn, ld: x.ldV)
    for i in 0..<x.tokens { rowSums[i] = inward[i] * dD[i] }
  }

  /// What the state is multiplied by in the chunk.
  var kept: Float { StabilisedState.factor(decay + entering - Double(leaving)) }

  /// `next ← e^{m−M_C} dS' + scale · (e^{m−M} ⊙ Q)ᵀ [dN | dd]`, or without `dS'`; behind it the gradient of `m`.
  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    x.totals.update(repeating: kept, count: x.K)
    let passed = dState.map { isPassed ? $0[kernel.sumsCount] : 0 } ?? 0
    SmallMatrix.multiply(
      x.q, lda: x.ldK, transposed: true, dOIn, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: dState.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
    addRows(
      x.q, by: rowSums, into: next + kernel.matrixCount,
      from: dState.map { $0 + kernel.matrixCount }, times: kept)
    next[kernel.sumsCount] = passDown(0) { _, _, _ in } + passed
  }

  /// Passes the gradients of the maxima on to what set them, from the last token to the first.
  ///
  /// - Parameter last: The gradient of the maximum after the chunk.
  /// - Returns: The gradient of the one before it.
  @inline(__always)
  private func passDown(
    _ last: Double, _ body: (_ token: Int, _ isOwn: Bool, _ gradient: Double) -> Void
  ) -> Float {
    var sum = last
    for i in (0..<buffers.tokens).reversed() {
      sum += Double(dM[i])
      let isOwn = writes[i] > (i > 0 ? maxima[i - 1] : entering)
      body(i, isOwn, sum)
      if isOwn { sum = 0 }
    }
    return Float(sum)
  }

  /// After `k`, `v` and `load`: the gradients that the chunk alone gives.
  mutating func gradientsIntra() {
    let x = buffers
    let n = x.tokens
    prepareDecays()
    SmallMatrix.multiplyTransposedRight(
      x.q, lda: x.ldK, x.k, ldb: x.ldK, into: x.p, ldc: x.ldC, rows: n, columns: n, inner: x.K,
      structure: .lowerResult, scratch: x.kT)
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: n, columns: n, inner: x.V,
      structure: .lowerResult, scratch: x.vT)
    if isMild {
      scaleLowerSumming { i, j in Lanes(repeating: rise[i]) * Lanes.load(fall + j) }
    } else {
      scaleLowerSumming { i, j in decays(i, j) }
    }
    SmallMatrix.multiply(
      x.dP, lda: x.ldC, x.k, ldb: x.ldK, into: x.dq, ldc: x.ldK, rows: n, columns: x.K, inner: n,
      structure: .lowerLeft)
    SmallMatrix.multiply(
      x.dP, lda: x.ldC, transposed: true, x.q, ldb: x.ldK, into: x.dk, ldc: x.ldK, rows: n,
      columns: x.K, inner: n, structure: .upperLeft)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, transposed: true, x.dO, ldb: x.ldV, into: x.dv, ldc: x.ldV, rows: n,
      columns: x.V, inner: n, structure: .upperLeft)
  }

  /// P, dP, and the sums of Z over what crosses a token and over what it wrote.
  @inline(__always)
  private func scaleLowerSumming(_ factors: (Int, Int) -> Lanes) {
    let (tokens, ldC, p, dP) = (buffers.tokens, buffers.ldC, buffers.p, buffers.dP)
    zColumns.update(repeating: 0, count: ldC)
    var i = tokens &- 1
    while i >= 0 {
      let (pRow, dPRow) = (p + i &* ldC, dP + i &* ldC)
      let normaliser = Lanes(repeating: dD[i])
      let diagonal = dPRow[i] + dD[i]
      var sum = Lanes()
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        let gamma = factors(i, j).first(count)
        let scaled = Lanes.load(pRow + j, count: count) * gamma
        let gradient = (Lanes.load(dPRow + j, count: count) + normaliser).first(count)
        let columns = Lanes.load(zColumns + j) + (scaled * gradient).first(min(count, i &- j))
        sum += columns.first(min(count, i &- j))
        columns.store(zColumns + j)
        scaled.store(pRow + j)
        (gradient * gamma).store(dPRow + j)
        j &+= Lanes.width
      }
      df[i] = sum.sum()
      // Later rows have gone through all of the token's column but its own place.
      di[i] = zColumns[i].addingProduct(pRow[i], diagonal)
      i &-= 1
    }
  }

  /// After all prepared: adds what crosses the chunk to `dq`, `dk`, `dv`; sets `df` and `di` to that.
  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    let x = buffers
    let n = x.tokens
    prepareOutward(leaving)
    Rows.scale(x.k, stride: x.ldK, rows: n, columns: x.K, by: outward, into: x.kOut, ld: x.ldK)
    Rows.scale(x.v, stride: x.ldV, rows: n, columns: x.V, by: outward, into: vOut, ld: x.ldV)
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, dState, ldb: x.V, into: x.dv, ldc: x.ldV, rows: n, columns: x.V,
      inner: x.K, store: .add)
    addAcross(state, dOIn, rowSums, x.q, to: x.dq, dots: queryDots)
    addAcross(dState, vOut, outward, x.k, to: x.dk, dots: keyDots)
    var reads = 0.0
    for i in (0..<n).reversed() {
      reads += Double(queryDots[i])
      df[i] = Float(reads)
    }
    var written = Double(kept) * Double(Rows.dot(state, dState, count: kernel.sumsCount))
    for i in 0..<n {
      df[i] = Float(Double(df[i]) + written)
      written += Double(keyDots[i])
      di[i] = keyDots[i]
    }
    _ = passDown(Double(dState[kernel.sumsCount])) { i, isOwn, gradient in
      if isOwn { di[i] += Float(gradient) } else { df[i] += Float(gradient) }
    }
  }

  /// `gradient ← gradient + T`, `T = left · Sᵀ + factors nᵀ`, and `dots_i = rows_i · T_i`.
  private func addAcross(
    _ state: UnsafePointer<Float>, _ left: UnsafePointer<Float>, _ factors: UnsafePointer<Float>,
    _ rows: UnsafePointer<Float>, to gradient: UnsafeMutablePointer<Float>,
    dots: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    let normaliser = state + kernel.matrixCount
    SmallMatrix.multiplyTransposedRight(
      left, lda: x.ldV, state, ldb: x.V, into: x.term, ldc: x.ldK, rows: x.tokens, columns: x.K,
      inner: x.V, scratch: x.stateT)
    for i in 0..<x.tokens {
      let (term, row, target) = (x.term + i &* x.ldK, rows + i &* x.ldK, gradient + i &* x.ldK)
      let factor = Lanes(repeating: factors[i])
      var sum = Lanes()
      var j = 0
      while j < x.K {
        let count = min(Lanes.width, x.K &- j)
        let own = Lanes.load(term + j, count: count)
          .addingProduct(factor, Lanes.load(normaliser + j, count: count))
        sum.addProduct(Lanes.load(row + j, count: count), own)
        (Lanes.load(target + j, count: count) + own).store(target + j, count: count)
        j &+= Lanes.width
      }
      dots[i] = sum.sum()
    }
  }
}
