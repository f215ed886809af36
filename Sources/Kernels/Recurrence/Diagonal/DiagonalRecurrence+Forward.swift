extension DiagonalRecurrence {
  /// The shard's map, and its state from a zero start.
  package func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      if plan.containsStart {
        map.update(repeating: 0, count: mapKind.count(keyDimension))
      } else {
        chunk.map(head, tokens: plan.tokens, into: map)
      }
      state.update(repeating: 0, count: stateCount)
      for (c, range) in plan.chunks.enumerated() {
        if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
        chunk.setDecays(head, range)
        chunk.buffers.loadK(head, range)
        chunk.buffers.loadV(head, range)
        chunk.prepareState()
        if c + 1 < plan.chunks.count {
          // What the next chunk's state will get from this one, whatever comes in.
          let increment = kept + (c + 1) * stateCount
          chunk.addToState(from: nil, into: increment)
          step(state, by: chunk.buffers.totals, adding: increment)
        } else {
          chunk.addToState(from: state, into: state)
        }
      }
    }
    withChunk(scratch, run, run, run, run)
  }

  /// What a chunk's output owes to the chunk alone.
  package func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      chunk.buffers.denominators = denominators(kept, plan, range)
      chunk.setDecays(head, range)
      chunk.buffers.loadQ(head, range)
      chunk.buffers.loadK(head, range)
      chunk.buffers.loadV(head, range)
      chunk.prepareIntra()
      chunk.outputIntra()
      chunk.buffers.storePartOfO(o, range)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// Takes the state before the shard.
  package func begin(
    _ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>
  ) {
    guard let resets = plan.resets.first else { return }
    Rows.copy(resets ? nil : initial, count: stateCount, into: kept)
  }

  /// What a chunk's output owes to what came before it.
  package func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      let state = kept + c * stateCount
      chunk.setDecays(head, range)
      chunk.buffers.loadQ(head, range)
      chunk.prepareInter()
      chunk.buffers.denominators = denominators(kept, plan, range)
      chunk.buffers.reloadO(o, range)
      chunk.buffers.fromState = fromState(kept, plan, range)
      chunk.outputInter(state)
      chunk.buffers.storeO(o, range)
      carry(state, past: c, plan, by: chunk.buffers.totals)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// All of a chunk's output.
  package func output(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk c: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      let state = kept + c * stateCount
      chunk.setDecays(head, range)
      chunk.buffers.loadQ(head, range)
      chunk.buffers.loadK(head, range)
      chunk.buffers.loadV(head, range)
      chunk.prepareIntra()
      chunk.prepareInter()
      chunk.outputIntra()
      chunk.buffers.fromState = fromState(kept, plan, range)
      chunk.buffers.denominators = denominators(kept, plan, range)
      chunk.outputInter(state)
      chunk.buffers.storeO(o, range)
      carry(state, past: c, plan, by: chunk.buffers.totals)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// Makes the next chunk's state of its own increment, which is kept, and a chunk's state.
  private func carry(
    _ state: UnsafeMutablePointer<Float>, past c: Int, _ plan: ChunkPlan,
    by totals: UnsafePointer<Float>
  ) {
    guard c + 1 < plan.chunks.count else { return }
    let next = state + stateCount
    if plan.resets[c + 1] {
      next.update(repeating: 0, count: stateCount)
    } else {
      carry(state, by: totals, into: next)
    }
  }

  /// All forward calls for a state that is known.
  package func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let state = chunk.buffers.state
      Rows.copy(initial, count: stateCount, into: state)
      for (c, range) in plan.chunks.enumerated() {
        if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
        Rows.stream(
          state, stride: stateCount, rows: 1, columns: stateCount, into: kept + c * stateCount,
          ld: stateCount)
        chunk.setDecays(head, range)
        chunk.buffers.loadQ(head, range)
        chunk.buffers.loadK(head, range)
        chunk.buffers.loadV(head, range)
        chunk.prepareState()
        chunk.prepareInter()
        chunk.outputIntra()
        chunk.buffers.fromState = fromState(kept, plan, range)
        chunk.buffers.denominators = denominators(kept, plan, range)
        chunk.outputInter(state)
        chunk.buffers.storeO(o, range)
        chunk.addToState(from: state, into: state)
      }
      Rows.copy(state, count: stateCount, into: final)
    }
    withChunk(scratch, run, run, run, run)
  }
}
