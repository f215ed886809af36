extension MLSTMRecurrence {
  /// The shard's log decay, and its state from an empty start, whose maximum is −∞.
  package func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    var decay = 0.0
    state.update(repeating: 0, count: sumsCount)
    state[sumsCount] = -.infinity
    for (c, range) in plan.chunks.enumerated() {
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
      chunk.setGates(head, range)
      chunk.buffers.loadK(head, range)
      chunk.buffers.loadV(head, range)
      // What the next chunk's state will get from this one, whatever comes in.
      let increment =
        c + 1 < plan.chunks.count ? self.state(kept, c + 1) : chunk.increment
      chunk.summarize(into: increment)
      step(state, logDecay: chunk.decay, adding: increment)
      decay += chunk.decay
    }
    map[0] = plan.containsStart ? -.infinity : Float(decay)
  }

  /// What a chunk's output owes to the chunk alone, not yet divided.
  package func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    let range = plan.chunks[c]
    chunk.setGates(head, range)
    chunk.buffers.loadQ(head, range)
    chunk.buffers.loadK(head, range)
    chunk.buffers.loadV(head, range)
    chunk.outputIntra()
    chunk.buffers.storePartOfO(o, range)
    denominators(kept, plan, c).update(from: chunk.d, count: range.count)
  }

  /// Takes the state before the shard.
  package func begin(
    _ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>
  ) {
    guard let resets = plan.resets.first else { return }
    Rows.copy(resets ? nil : initial, count: stateCount, into: state(kept, 0))
  }

  /// What a chunk's output owes to what came before it.
  package func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    let range = plan.chunks[c]
    let (state, denominators) = (state(kept, c), denominators(kept, plan, c))
    chunk.setGates(head, range)
    chunk.buffers.loadQ(head, range)
    chunk.buffers.reloadO(o, range)
    chunk.d.update(from: denominators, count: range.count)
    chunk.outputInter(state)
    chunk.buffers.storeO(o, range)
    keep(chunk, plan, c, kept)
    guard c + 1 < plan.chunks.count else { return }
    let next = self.state(kept, c + 1)
    if plan.resets[c + 1] {
      next.update(repeating: 0, count: stateCount)
    } else {
      StabilisedState.combine(
        logDecay: chunk.decay, state, adding: next, count: sumsCount, into: next)
    }
  }

  /// Keeps what the backward pass needs beside the state.
  private func keep(
    _ chunk: MLSTMChunk, _ plan: ChunkPlan, _ c: Int, _ kept: UnsafeMutablePointer<Float>
  ) {
    denominators(kept, plan, c).update(from: chunk.d, count: chunk.buffers.tokens)
    factor(kept, plan, c)[0] = chunk.isPassed ? chunk.kept : -chunk.kept
  }

  /// All forward calls for a state that is known.
  package func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    Rows.copy(initial, count: stateCount, into: final)
    for (c, range) in plan.chunks.enumerated() {
      if plan.resets[c] { final.update(repeating: 0, count: stateCount) }
      Rows.stream(
        final, stride: stateCount, rows: 1, columns: stateCount, into: state(kept, c),
        ld: stateCount)
      chunk.setGates(head, range)
      chunk.buffers.loadQ(head, range)
      chunk.buffers.loadK(head, range)
      chunk.buffers.loadV(head, range)
      chunk.outputIntra()
      chunk.outputInter(final)
      chunk.buffers.storeO(o, range)
      keep(chunk, plan, c, kept)
      chunk.summarize(into: chunk.increment)
      step(final, logDecay: chunk.decay, adding: chunk.increment)
    }
  }
}
