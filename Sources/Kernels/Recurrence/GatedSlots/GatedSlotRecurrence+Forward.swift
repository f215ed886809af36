extension GatedSlotRecurrence {
  /// The shard's map, and its states from a zero start.
  package func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    if plan.containsStart {
      map.update(repeating: 0, count: slots)
    } else {
      chunk.values.map(head, tokens: plan.tokens, into: map)
    }
    state.update(repeating: 0, count: stateCount)
    for (c, range) in plan.chunks.enumerated() {
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
      chunk.begin(head, range)
      chunk.loadK(head, range)
      chunk.loadV(head, range)
      // What the next chunk's state will get from this one, whatever comes in.
      let increment = kept + (c + 1) * stateCount
      chunk.addToState(increment)
      step(state, by: chunk.totals, adding: increment)
    }
  }

  /// The part of the logits that a chunk's own tokens give: it is kept, as `p` needs all of them.
  package func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    let range = plan.chunks[c]
    chunk.begin(head, range)
    chunk.loadQ(head, range)
    chunk.loadK(head, range)
    chunk.keys.transposedOutputIntra()
    chunk.store(chunk.keys.buffers.dq, to: tokens(kept, plan), range)
  }

  /// Takes the state before the shard.
  package func begin(
    _ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>
  ) {
    Rows.copy(plan.resets.first == true ? nil : initial, count: stateCount, into: kept)
  }

  /// What a chunk's logits owe to what came before it, and then all of its output.
  package func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    let (range, state) = (plan.chunks[c], kept + c * stateCount)
    chunk.begin(head, range)
    chunk.loadQ(head, range)
    chunk.loadV(head, range)
    chunk.load(tokens(kept, plan), range, into: chunk.keys.buffers.dq)
    finish(chunk, plan, range, state: state, kept: kept, o: o)
    carry(from: c, plan, state, by: chunk.totals)
  }

  /// All forward calls for a state that is known.
  package func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = GatedSlotChunk(self, scratch)
    begin(initial, plan, kept: kept)
    for (c, range) in plan.chunks.enumerated() {
      let state = kept + c * stateCount
      chunk.begin(head, range)
      chunk.loadQ(head, range)
      chunk.loadK(head, range)
      chunk.loadV(head, range)
      chunk.keys.transposedOutputIntra()
      finish(chunk, plan, range, state: state, kept: kept, o: o)
      chunk.addToState(state + stateCount)
      carry(from: c, plan, state, by: chunk.totals)
    }
    Rows.copy(kept + plan.chunks.count * stateCount, count: stateCount, into: final)
  }

  /// All of a chunk's output, of its own tokens' part of the logits.
  private func finish(
    _ chunk: GatedSlotChunk, _ plan: ChunkPlan, _ range: Range<Int>,
    state: UnsafePointer<Float>, kept: UnsafeMutablePointer<Float>, o: MutableTokenRows
  ) {
    chunk.keys.transposedOutputInter(state)
    chunk.softmax()
    chunk.store(chunk.values.buffers.q, to: tokens(kept, plan), range)
    chunk.values.prepareInter()
    chunk.values.outputIntra()
    chunk.values.outputInter(state + keyWidth)
    chunk.values.buffers.storeO(o, range)
  }

  /// Adds what stays of a chunk's state to the next one's.
  private func carry(
    from c: Int, _ plan: ChunkPlan, _ state: UnsafeMutablePointer<Float>,
    by totals: UnsafePointer<Float>
  ) {
    let next = state + stateCount
    if c + 1 < plan.chunks.count && plan.resets[c + 1] {
      next.update(repeating: 0, count: stateCount)
    } else {
      carry(state, by: totals, into: next)
    }
  }
}
