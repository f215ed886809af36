extension GatedSlotRecurrence {
  /// The gradients of the logits, which are kept, and this shard's share of the gradients of its incoming states.
  package func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    state.update(repeating: 0, count: stateCount)
    for (c, range) in plan.chunks.enumerated().reversed() {
      chunk.begin(head, range)
      chunk.loadQ(head, range)
      chunk.loadV(head, range)
      chunk.loadDO(gradient, range)
      chunk.load(tokens(kept, plan), range, into: chunk.values.buffers.q)
      logitGradients(chunk, kept + c * stateCount)
      chunk.store(chunk.keys.buffers.q, to: tokens(keptBackward, plan), range)
      let increment = keptBackward + c * stateCount
      chunk.addToStateGradient(increment)
      step(state, by: chunk.totals, adding: increment)
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
    }
  }

  /// What a chunk's gradients owe to the chunk alone.
  package func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    let range = plan.chunks[c]
    load(&chunk, head, gradient, plan, range, kept)
    chunk.load(tokens(keptBackward, plan), range, into: chunk.keys.buffers.q)
    intra(chunk, head, gradient, range)
  }

  /// Takes the gradient of the final state.
  package func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>
  ) {
    Rows.copy(
      final, count: stateCount, into: keptBackward + plan.chunks.count * stateCount)
  }

  /// The rest of a chunk's gradients.
  package func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    let range = plan.chunks[c]
    let (state, dState) = (kept + c * stateCount, keptBackward + (c + 1) * stateCount)
    load(&chunk, head, gradient, plan, range, kept)
    chunk.load(tokens(keptBackward, plan), range, into: chunk.keys.buffers.q)
    chunk.keys.prepareInter()
    chunk.values.prepareInter()
    chunk.reload(gradient, range)
    chunk.clearWritten()
    inter(chunk, head, gradient, range, state, dState)
    carry(to: c, plan, dState, by: chunk.totals)
  }

  /// All backward calls for a gradient that is known.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    beginBackward(final, plan, keptBackward: keptBackward)
    for (c, range) in plan.chunks.enumerated().reversed() {
      let (state, dState) = (kept + c * stateCount, keptBackward + (c + 1) * stateCount)
      load(&chunk, head, gradient, plan, range, kept)
      logitGradients(chunk, state)
      chunk.addToStateGradient(keptBackward + c * stateCount)
      intra(chunk, head, gradient, range)
      chunk.clearWritten()
      inter(chunk, head, gradient, range, state, dState)
      carry(to: c, plan, dState, by: chunk.totals)
    }
    Rows.copy(keptBackward, count: stateCount, into: initial)
  }

  /// The gradients of a chunk's logits: of `p`, pass 1 with what pass 2 is fed with, and of the softmax.
  private func logitGradients(_ chunk: GatedSlotChunk, _ state: UnsafePointer<Float>) {
    chunk.values.transposedOutputIntra()
    chunk.values.transposedOutputInter(state + keyWidth)
    chunk.softmaxBackward()
  }

  private func intra(
    _ chunk: GatedSlotChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ range: Range<Int>
  ) {
    chunk.values.gradientsIntra()
    chunk.keys.gradientsIntra()
    chunk.keys.transposedQueriesIntra()
    chunk.addStored(gradient, range)
    chunk.storeGradients(gradient, range, isReadAgain: true)
    chunk.storeDG(head, gradient, range, adds: gradient.dg?.accumulates ?? false)
  }

  private func inter(
    _ chunk: GatedSlotChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ range: Range<Int>, _ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>
  ) {
    chunk.values.gradientsInter(state + keyWidth, dState + keyWidth)
    chunk.keys.gradientsInter(state, dState)
    chunk.keys.outputInter(state)
    chunk.storeGradients(gradient, range)
    chunk.storeDG(head, gradient, range, adds: true)
  }

  /// Adds what stays of the state's gradient after a chunk to that before it.
  private func carry(
    to c: Int, _ plan: ChunkPlan, _ dState: UnsafeMutablePointer<Float>,
    by totals: UnsafePointer<Float>
  ) {
    let previous = dState - stateCount
    if plan.resets[c] {
      previous.update(repeating: 0, count: stateCount)
    } else {
      carry(dState, by: totals, into: previous)
    }
  }

  /// Everything that a chunk's gradients are made of, but for the logits' gradients.
  private func load(
    _ chunk: inout GatedSlotChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ plan: ChunkPlan, _ range: Range<Int>, _ kept: UnsafeMutablePointer<Float>
  ) {
    chunk.begin(head, range)
    chunk.loadQ(head, range)
    chunk.loadK(head, range)
    chunk.loadV(head, range)
    chunk.loadDO(gradient, range)
    chunk.load(tokens(kept, plan), range, into: chunk.values.buffers.q)
  }
}
