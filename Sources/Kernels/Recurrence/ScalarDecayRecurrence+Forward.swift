import Foundation

extension ScalarDecayRecurrence {
  public func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    map[0] =
      plan.containsStart
      ? 0 : Float(exp(ScalarDecayChunk.logTotal(self, head, tokens: plan.tokens)))
    state.update(repeating: 0, count: stateCount)
    for (c, range) in plan.chunks.enumerated() {
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
      chunk.setDecays(self, head, range)
      chunk.loadState(head, range)
      if c + 1 < plan.chunks.count {
        let increment = kept + (c + 1) * stateCount
        chunk.addToState(from: nil, into: increment)
        for x in 0..<stateCount {
          state[x] = increment[x].addingProduct(chunk.total, state[x])
        }
      } else {
        chunk.addToState(from: state, into: state)
      }
    }
  }

  public func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    let range = plan.chunks[c]
    chunk.setDecays(self, head, range)
    chunk.loadScores(head, range)
    Rows.copy(
      head.v[range.lowerBound], stride: head.v.stride, rows: chunk.tokens, columns: chunk.V,
      into: chunk.v, ld: chunk.ldV)
    chunk.outputIntra(self)
    chunk.storeResult(o, range)
  }

  public func begin(
    _ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>
  ) {
    guard let resets = plan.resets.first else { return }
    Rows.copy(resets ? nil : initial, count: stateCount, into: kept)
  }

  public func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    let range = plan.chunks[c]
    let state = kept + c * stateCount
    chunk.setDecays(self, head, range)
    Rows.scale(
      head.q[range.lowerBound], stride: head.q.stride, rows: chunk.tokens, columns: chunk.K,
      by: chunk.inward, into: chunk.qIn, ld: chunk.ldK)
    Rows.copy(
      o[range.lowerBound], stride: o.stride, rows: chunk.tokens, columns: chunk.V,
      into: chunk.result, ld: chunk.ldV)
    chunk.outputInter(state)
    chunk.storeResult(o, range)
    if c + 1 < plan.chunks.count {
      let next = state + stateCount
      if plan.resets[c + 1] {
        next.update(repeating: 0, count: stateCount)
      } else {
        for x in 0..<stateCount { next[x] = next[x].addingProduct(chunk.total, state[x]) }
      }
    }
  }

  public func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    begin(initial, plan, kept: kept)
    if plan.chunks.isEmpty { Rows.copy(initial, count: stateCount, into: final) }
    var chunk = ScalarDecayChunk(self, scratch)
    for (c, range) in plan.chunks.enumerated() {
      let state = kept + c * stateCount
      chunk.setDecays(self, head, range)
      chunk.loadState(head, range)
      chunk.loadScores(head, range)
      Rows.scale(
        chunk.q, stride: chunk.ldK, rows: chunk.tokens, columns: chunk.K, by: chunk.inward,
        into: chunk.qIn, ld: chunk.ldK)
      chunk.outputIntra(self)
      chunk.outputInter(state)
      chunk.storeResult(o, range)
      if c + 1 == plan.chunks.count {
        chunk.addToState(from: state, into: final)
      } else if plan.resets[c + 1] {
        (state + stateCount).update(repeating: 0, count: stateCount)
      } else {
        chunk.addToState(from: state, into: state + stateCount)
      }
    }
  }
}

extension ScalarDecayChunk {
  /// Reads `k`, `v` and `e^{b_C−b} v`.
  func loadState(_ head: RecurrenceHead, _ range: Range<Int>) {
    let t = range.lowerBound
    Rows.copy(head.k[t], stride: head.k.stride, rows: tokens, columns: K, into: k, ld: ldK)
    Rows.copy(head.v[t], stride: head.v.stride, rows: tokens, columns: V, into: v, ld: ldV)
    Rows.scale(v, stride: ldV, rows: tokens, columns: V, by: outward, into: vOut, ld: ldV)
  }

  /// Reads `q` and `kᵀ`.
  func loadScores(_ head: RecurrenceHead, _ range: Range<Int>) {
    let t = range.lowerBound
    Rows.copy(head.q[t], stride: head.q.stride, rows: tokens, columns: K, into: q, ld: ldK)
    SmallMatrix.transpose(head.k[t], ld: head.k.stride, rows: tokens, columns: K, into: kT, ld: ldC)
  }

  /// `next ← e^{b_C} state + Kᵀ (e^{b_C−b} V)`, or without `state`.
  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    SmallMatrix.multiply(
      k, lda: ldK, transposed: true, vOut, ldb: ldV, into: next, ldc: V, rows: K, columns: V,
      inner: tokens, store: state.map { .addScaled($0, ld: V, by: totals) } ?? .replace)
  }

  /// `result ← P V`.
  func outputIntra(_ kernel: ScalarDecayRecurrence) {
    SmallMatrix.multiply(
      q, lda: ldK, kT, ldb: ldC, into: p, ldc: ldC, rows: tokens, columns: tokens, inner: K,
      structure: .lowerResult)
    applyDecays(kernel)
    SmallMatrix.multiply(
      p, lda: ldC, v, ldb: ldV, into: result, ldc: ldV, rows: tokens, columns: V, inner: tokens,
      structure: .lowerLeft)
  }

  /// `result ← result + (scale · e^b Q) S`.
  func outputInter(_ state: UnsafePointer<Float>) {
    SmallMatrix.multiply(
      qIn, lda: ldK, state, ldb: V, into: result, ldc: ldV, rows: tokens, columns: V, inner: K,
      store: .add)
  }

  /// Writes `result` to the output's rows.
  func storeResult(_ o: MutableTokenRows, _ range: Range<Int>) {
    Rows.copy(
      result, stride: ldV, rows: tokens, columns: V, into: o[range.lowerBound], ld: o.stride)
  }
}
