extension VectorDecayChunk {
  func prepareStateGradient() { prepareInter() }

  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    SmallMatrix.multiply(
      x.qIn, lda: x.ldK, transposed: true, x.dO, ldb: x.ldV, into: next, ldc: x.ldState, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: dState.map { .addScaled($0, ld: x.ldState, by: x.totals) } ?? .replace)
  }

  func gradientsIntra() {
    let x = buffers
    let n = x.tokens
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: n, columns: n, inner: x.V,
      structure: .lowerResult, scratch: x.vT)
    // The terms that no decay stands in: `i = j`, or with exclusive outputs `i = j + 1`.
    let back = kernel.isExclusive ? 1 : 0
    for i in back..<max(n, back) { diagonal[i] = kernel.scale * x.dP[i * x.ldC + i - back] }
    keepLower(x.dP, strictly: true)
    if kernel.isExclusive {
      for i in 1..<max(n, 1) { x.dP[i * x.ldC + i - 1] = 0 }
    }
    forEachBlock(0, n) { block in
      let factored = prepare(block)
      scores(block, factored)
      scoreGradients(block, factored)
      if block.isDiagonal { finish(block) }
    }
    if kernel.isExclusive { addNeighbours() }
    keepLower(x.p, strictly: kernel.isExclusive)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, transposed: true, x.dO, ldb: x.ldV, into: x.dv, ldc: x.ldV, rows: n,
      columns: x.N, inner: n, structure: .upperLeft)
  }

  /// Adds the terms `i = j + 1` of exclusive outputs, in which no decay stands, so that `dg` has none of them.
  private func addNeighbours() {
    let x = buffers
    for i in 1..<max(x.tokens, 1) {
      let own = Lanes(repeating: diagonal[i])
      forEachRegister(i..<i + 1) { place, _ in
        let before = place &- x.ldK
        Lanes.load(x.dq + place).addingProduct(own, Lanes.load(x.k + before)).store(x.dq + place)
        Lanes.load(x.dk + before).addingProduct(own, Lanes.load(x.q + place)).store(x.dk + before)
      }
    }
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
    if block.isDiagonal { set(x.dq, rowFactors, block.rows) } else { addRows(block.rows) }
    SmallMatrix.multiply(
      dP, lda: x.ldC, transposed: true, factored.q, ldb: x.ldK, into: x.term, ldc: x.ldK,
      rows: width, columns: x.K, inner: height, structure: block.isDiagonal ? .upperLeft : .full)
    if block.isDiagonal {
      set(x.dk, factorsOfColumns, block.columns)
    } else {
      addColumns(block.columns)
    }
  }

  /// `gradient ← factors ⊙ term`.
  private func set(
    _ gradient: UnsafeMutablePointer<Float>, _ factors: UnsafePointer<Float>, _ tokens: Range<Int>
  ) {
    let x = buffers
    let term = x.term - tokens.lowerBound * x.ldK
    forEachRegister(tokens) { place, _ in
      (Lanes.load(term + place) * Lanes.load(factors + place)).store(gradient + place)
    }
  }

  /// Adds what earlier tokens of another block give to `dq`; it crosses every token of this block up to the row, or
  /// before it where outputs are exclusive.
  private func addRows(_ tokens: Range<Int>) {
    let x = buffers
    let term = x.term - tokens.lowerBound * x.ldK
    let isExclusive = kernel.isExclusive
    sums.update(repeating: 0, count: x.ldK)
    for i in tokens.reversed() {
      forEachRegister(i..<i + 1) { place, d in
        let y = Lanes.load(term + place) * Lanes.load(rowFactors + place)
        (Lanes.load(x.dq + place) + y).store(x.dq + place)
        let later = Lanes.load(sums + d)
        let sum = later.addingProduct(Lanes.load(x.q + place), y)
        sum.store(sums + d)
        (Lanes.load(x.dg + place) + (isExclusive ? later : sum)).store(x.dg + place)
      }
    }
  }

  /// Adds what later tokens of another block give to `dk`; it crosses every token of this block after the column.
  private func addColumns(_ tokens: Range<Int>) {
    let x = buffers
    let term = x.term - tokens.lowerBound * x.ldK
    let factors = factorsOfColumns
    sums.update(repeating: 0, count: x.ldK)
    forEachRegister(tokens) { place, d in
      let y = Lanes.load(term + place) * Lanes.load(factors + place)
      (Lanes.load(x.dk + place) + y).store(x.dk + place)
      let sum = Lanes.load(sums + d)
      (Lanes.load(x.dg + place) + sum).store(x.dg + place)
      sum.addingProduct(Lanes.load(x.k + place), y).store(sums + d)
    }
  }

  /// `dg` of the terms `i > j` of a diagonal block, then the terms `i = j` of `dq` and `dk`, which `dg` has not.
  ///
  /// A difference of sums is good enough here: the block's decays are mild.
  private func finish(_ block: Block) {
    let x = buffers
    let isExclusive = kernel.isExclusive
    sums.update(repeating: 0, count: x.ldK)
    for i in block.rows.reversed() {
      let own = Lanes(repeating: isExclusive ? 0 : diagonal[i])
      forEachRegister(i..<i + 1) { place, d in
        let (q, k) = (Lanes.load(x.q + place), Lanes.load(x.k + place))
        let (dq, dk) = (Lanes.load(x.dq + place), Lanes.load(x.dk + place))
        let later = Lanes.load(sums + d)
        let sum = later + (q * dq - k * dk)
        sum.store(sums + d)
        (isExclusive ? later - k * dk : sum).store(x.dg + place)
        dq.addingProduct(own, k).store(x.dq + place)
        dk.addingProduct(own, q).store(x.dk + place)
      }
    }
  }

  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    let x = buffers
    let n = x.tokens
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, dState, ldb: x.ldState, into: x.dv, ldc: x.ldV, rows: n, columns: x.N,
      inner: x.K, store: .add)
    gradientsFromState(state)
    SmallMatrix.multiplyTransposedRight(
      x.v, lda: x.ldV, dState, ldb: x.ldState, into: x.term, ldc: x.ldK, rows: n, columns: x.K,
      inner: x.V, scratch: x.stateT)
    for d in 0..<x.K {
      sums[d] = x.totals[d] * Rows.dot(state + d * x.ldState, dState + d * x.ldState, count: x.V)
    }
    forEachRegister(0..<n) { place, d in
      let y = Lanes.load(x.term + place) * Lanes.load(outward + place)
      (Lanes.load(x.dk + place) + y).store(x.dk + place)
      let sum = Lanes.load(sums + d)
      (Lanes.load(x.dg + place) + sum).store(x.dg + place)
      sum.addingProduct(Lanes.load(x.k + place), y).store(sums + d)
    }
  }

  /// Adds to `dq` what comes from the state; sets `dg` to its sums over later tokens, which it crosses.
  private func gradientsFromState(_ state: UnsafePointer<Float>) {
    let x = buffers
    if x.fromState == nil {
      SmallMatrix.multiplyTransposedRight(
        x.dO, lda: x.ldV, state, ldb: x.ldState, into: x.term, ldc: x.ldK, rows: x.tokens,
        columns: x.K, inner: x.V, scratch: x.stateT)
    }
    sums.update(repeating: 0, count: x.ldK)
    let isExclusive = kernel.isExclusive
    let scale = Lanes(repeating: kernel.scale)
    for i in (0..<x.tokens).reversed() {
      forEachRegister(i..<i + 1) { place, d in
        let y: Lanes
        if let kept = x.fromState {
          y = Lanes.load(kept + place)
        } else {
          y = scale * Lanes.load(x.term + place) * Lanes.load(inward + place)
          (Lanes.load(x.dq + place) + y).store(x.dq + place)
        }
        let later = Lanes.load(sums + d)
        let sum = later.addingProduct(Lanes.load(x.q + place), y)
        sum.store(sums + d)
        (isExclusive ? later : sum).store(x.dg + place)
      }
    }
  }
}
