extension ScalarDecayChunk {
  /// A gradient that a chunk computes.
  enum Part: CaseIterable { case query, key, value }

  /// Reads `q` and `scale · e^b dO`.
  func loadStateBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ range: Range<Int>
  ) {
    let t = range.lowerBound
    Rows.copy(head.q[t], stride: head.q.stride, rows: tokens, columns: K, into: q, ld: ldK)
    Rows.scale(
      gradient.dO[t], stride: gradient.dO.stride, rows: tokens, columns: V, by: inward,
      into: dOIn, ld: ldV)
  }

  /// Reads `q`, `k`, `v` and `dO`.
  func loadRows(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ range: Range<Int>
  ) {
    let t = range.lowerBound
    Rows.copy(head.q[t], stride: head.q.stride, rows: tokens, columns: K, into: q, ld: ldK)
    Rows.copy(head.k[t], stride: head.k.stride, rows: tokens, columns: K, into: k, ld: ldK)
    Rows.copy(head.v[t], stride: head.v.stride, rows: tokens, columns: V, into: v, ld: ldV)
    Rows.copy(
      gradient.dO[t], stride: gradient.dO.stride, rows: tokens, columns: V, into: dO, ld: ldV)
  }

  /// `e^{b_C−b} K`, `e^{b_C−b} V` and `scale · e^b dO`.
  func scaleRows() {
    Rows.scale(k, stride: ldK, rows: tokens, columns: K, by: outward, into: kOut, ld: ldK)
    Rows.scale(v, stride: ldV, rows: tokens, columns: V, by: outward, into: vOut, ld: ldV)
    Rows.scale(dO, stride: ldV, rows: tokens, columns: V, by: inward, into: dOIn, ld: ldV)
  }

  /// `P` and `dP`, both with Γ.
  func scoreGradients(
    _ kernel: ScalarDecayRecurrence, _ head: RecurrenceHead, _ range: Range<Int>
  ) {
    SmallMatrix.transpose(k, ld: ldK, rows: tokens, columns: K, into: kT, ld: ldC)
    SmallMatrix.multiply(
      q, lda: ldK, kT, ldb: ldC, into: p, ldc: ldC, rows: tokens, columns: tokens, inner: K,
      structure: .lowerResult)
    SmallMatrix.transpose(v, ld: ldV, rows: tokens, columns: V, into: vT, ld: ldC)
    SmallMatrix.multiply(
      dO, lda: ldV, vT, ldb: ldC, into: dP, ldc: ldC, rows: tokens, columns: tokens, inner: V,
      structure: .lowerResult)
    applyDecaysBackward(kernel)
  }

  /// `next ← e^{b_C} dS' + Qᵀ (scale · e^b dO)`, or without `dS'`.
  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    SmallMatrix.multiply(
      q, lda: ldK, transposed: true, dOIn, ldb: ldV, into: next, ldc: V, rows: K, columns: V,
      inner: tokens, store: dState.map { .addScaled($0, ld: V, by: totals) } ?? .replace)
  }

  /// `result ← dP K`, `dPᵀ Q` or `Pᵀ dO`.
  func intraGradient(_ part: Part) {
    switch part {
    case .query:
      SmallMatrix.multiply(
        dP, lda: ldC, k, ldb: ldK, into: result, ldc: ldK, rows: tokens, columns: K,
        inner: tokens, structure: .lowerLeft)
    case .key:
      SmallMatrix.multiply(
        dP, lda: ldC, transposed: true, q, ldb: ldK, into: result, ldc: ldK, rows: tokens,
        columns: K, inner: tokens, structure: .upperLeft)
    case .value:
      SmallMatrix.multiply(
        p, lda: ldC, transposed: true, dO, ldb: ldV, into: result, ldc: ldV, rows: tokens,
        columns: V, inner: tokens, structure: .upperLeft)
    }
  }

  /// Adds to `result` what crosses the chunk: `(scale · e^b dO) Sᵀ`, `(e^{b_C−b} V) dS'ᵀ` or `(e^{b_C−b} K) dS'`.
  func interGradient(
    _ kernel: ScalarDecayRecurrence, _ part: Part, _ state: UnsafePointer<Float>,
    _ dState: UnsafePointer<Float>
  ) {
    if part == .value {
      return SmallMatrix.multiply(
        kOut, lda: ldK, dState, ldb: V, into: result, ldc: ldV, rows: tokens, columns: V,
        inner: K, store: .add)
    }
    let source = part == .query ? state : dState
    let left = part == .query ? dOIn : vOut
    SmallMatrix.transpose(source, ld: V, rows: K, columns: V, into: stateT, ld: ldK)
    guard kernel.decay == .fromData else {
      return SmallMatrix.multiply(
        left, lda: ldV, stateT, ldb: ldK, into: result, ldc: ldK, rows: tokens, columns: K,
        inner: V, store: .add)
    }
    // The decay's gradient needs this term by itself.
    SmallMatrix.multiply(
      left, lda: ldV, stateT, ldb: ldK, into: across, ldc: ldK, rows: tokens, columns: K, inner: V)
    let (rows, sums) = part == .query ? (q, queryDots) : (k, keyDots)
    for i in 0..<tokens { sums[i] = Rows.dot(rows + i * ldK, across + i * ldK, count: K) }
    Rows.add(across, stride: ldK, rows: tokens, columns: K, into: result, ld: ldK)
  }

  /// Writes the part of `dg` that is inside the chunk: `Σ_{i ≥ l > j} Z_ij`.
  func decayGradientIntra(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    guard let dg = gradient.dg else { preconditionFailure("a decay from data needs dg") }
    var sum = 0.0
    for i in (0..<tokens).reversed() {
      sum += Double(zRows[i]) - Double(zColumns[i])
      let target = dg[range.lowerBound + i]
      target[0] = Float(sum) + (dg.accumulates ? target[0] : 0)
    }
  }

  /// Adds the rest of `dg`: `Σ_{i ≥ l} q_i·dq_i' + Σ_{j < l} k_j·dk_j' + e^{b_C} ⟨S, dS'⟩`.
  func decayGradientInter(
    _ gradient: RecurrenceGradient, _ range: Range<Int>, _ state: UnsafePointer<Float>,
    _ dState: UnsafePointer<Float>
  ) {
    guard let dg = gradient.dg else { preconditionFailure("a decay from data needs dg") }
    var sum = Double(total) * Double(Rows.dot(state, dState, count: K * V))
    for i in 0..<tokens { sum += Double(queryDots[i]) }
    for i in 0..<tokens {
      dg[range.lowerBound + i][0] += Float(sum)
      sum += Double(keyDots[i]) - Double(queryDots[i])
    }
  }

  /// `result ← stored gradient`.
  func loadGradient(_ part: Part, _ gradient: RecurrenceGradient, _ range: Range<Int>) {
    let (rows, columns, ld) = target(part, gradient)
    Rows.copy(
      rows[range.lowerBound], stride: rows.stride, rows: tokens, columns: columns, into: result,
      ld: ld)
  }

  /// `stored gradient ← result`, or their sum where it accumulates.
  func storeGradient(_ part: Part, _ gradient: RecurrenceGradient, _ range: Range<Int>) {
    addStoredGradient(part, gradient, range)
    replaceGradient(part, gradient, range)
  }

  /// `result ← result + stored gradient` where it accumulates.
  func addStoredGradient(_ part: Part, _ gradient: RecurrenceGradient, _ range: Range<Int>) {
    let (rows, columns, ld) = target(part, gradient)
    guard rows.accumulates else { return }
    Rows.add(
      rows[range.lowerBound], stride: rows.stride, rows: tokens, columns: columns, into: result,
      ld: ld)
  }

  /// `stored gradient ← result`.
  func replaceGradient(_ part: Part, _ gradient: RecurrenceGradient, _ range: Range<Int>) {
    let (rows, columns, ld) = target(part, gradient)
    Rows.copy(
      result, stride: ld, rows: tokens, columns: columns, into: rows[range.lowerBound],
      ld: rows.stride)
  }

  private func target(
    _ part: Part, _ gradient: RecurrenceGradient
  ) -> (MutableTokenRows, columns: Int, ld: Int) {
    switch part {
    case .query: (gradient.dq, K, ldK)
    case .key: (gradient.dk, K, ldK)
    case .value: (gradient.dv, V, ldV)
    }
  }
}
