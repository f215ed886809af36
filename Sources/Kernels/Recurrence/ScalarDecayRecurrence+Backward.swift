extension ScalarDecayRecurrence {
  public func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    state.update(repeating: 0, count: stateCount)
    for (c, range) in plan.chunks.enumerated().reversed() {
      chunk.setDecays(self, head, range)
      chunk.loadStateBackward(head, gradient, range)
      if c > 0 {
        let increment = keptBackward + (c - 1) * stateCount
        chunk.addToStateGradient(from: nil, into: increment)
        for x in 0..<stateCount {
          state[x] = increment[x].addingProduct(chunk.total, state[x])
        }
      } else {
        chunk.addToStateGradient(from: state, into: state)
      }
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
    }
  }

  public func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    let range = plan.chunks[c]
    chunk.setDecays(self, head, range)
    chunk.loadRows(head, gradient, range)
    chunk.scoreGradients(self, head, range)
    for part in ScalarDecayChunk.Part.allCases {
      chunk.intraGradient(part)
      chunk.storeGradient(part, gradient, range)
    }
    if decay == .fromData { chunk.decayGradientIntra(gradient, range) }
  }

  public func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>
  ) {
    guard let last = plan.chunks.indices.last else { return }
    Rows.copy(final, count: stateCount, into: keptBackward + last * stateCount)
  }

  public func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    let range = plan.chunks[c]
    let (state, dState) = (kept + c * stateCount, keptBackward + c * stateCount)
    chunk.setDecays(self, head, range)
    chunk.loadRows(head, gradient, range)
    chunk.scaleRows()
    for part in ScalarDecayChunk.Part.allCases {
      chunk.loadGradient(part, gradient, range)
      chunk.interGradient(self, part, state, dState)
      chunk.replaceGradient(part, gradient, range)
    }
    if decay == .fromData { chunk.decayGradientInter(gradient, range, state, dState) }
    if c > 0 {
      let previous = dState - stateCount
      if plan.resets[c] {
        previous.update(repeating: 0, count: stateCount)
      } else {
        for x in 0..<stateCount { previous[x] = previous[x].addingProduct(chunk.total, dState[x]) }
      }
    }
  }

  public func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = ScalarDecayChunk(self, scratch)
    Rows.copy(final, count: stateCount, into: initial)
    for (c, range) in plan.chunks.enumerated().reversed() {
      let state = kept + c * stateCount
      chunk.setDecays(self, head, range)
      chunk.loadRows(head, gradient, range)
      chunk.scaleRows()
      chunk.scoreGradients(self, head, range)
      for part in ScalarDecayChunk.Part.allCases {
        chunk.intraGradient(part)
        chunk.addStoredGradient(part, gradient, range)
        chunk.interGradient(self, part, state, initial)
        chunk.replaceGradient(part, gradient, range)
      }
      if decay == .fromData {
        chunk.decayGradientIntra(gradient, range)
        chunk.decayGradientInter(gradient, range, state, initial)
      }
      if plan.resets[c] {
        initial.update(repeating: 0, count: stateCount)
      } else {
        chunk.addToStateGradient(from: initial, into: initial)
      }
    }
  }
}
