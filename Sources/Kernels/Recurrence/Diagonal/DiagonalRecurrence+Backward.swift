extension DiagonalRecurrence {
  /// This shard's share of the gradient of its incoming state.
  package func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      state.update(repeating: 0, count: stateCount)
      for (c, range) in plan.chunks.enumerated().reversed() {
        chunk.setDecays(head, range)
        chunk.buffers.loadQ(head, range)
        chunk.buffers.denominators = denominators(kept, plan, range)
        chunk.buffers.loadDO(gradient, range)
        chunk.prepareStateGradient()
        if c > 0 {
          let increment = keptBackward + (c - 1) * stateCount
          chunk.addToStateGradient(from: nil, into: increment)
          step(state, by: chunk.buffers.totals, adding: increment)
        } else {
          chunk.addToStateGradient(from: state, into: state)
        }
        if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
      }
    }
    withChunk(scratch, run, run, run, run)
  }

  /// What a chunk's gradients owe to the chunk alone.
  package func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      load(&chunk, head, gradient, plan, kept, range)
      chunk.prepareIntra()
      chunk.gradientsIntra()
      chunk.buffers.addStored(gradient, range)
      chunk.buffers.store(gradient, range, isReadAgain: true)
      storeDG(chunk, head, gradient, range, adds: gradient.dg?.accumulates ?? false)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// Takes the gradient of the final state.
  package func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>
  ) {
    guard let last = plan.chunks.indices.last else { return }
    Rows.copy(final, count: stateCount, into: keptBackward + last * stateCount)
  }

  /// The rest of a chunk's gradients.
  package func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      let (state, dState) = (kept + c * stateCount, keptBackward + c * stateCount)
      load(&chunk, head, gradient, plan, kept, range)
      chunk.prepareState()
      chunk.prepareStateGradient()
      chunk.buffers.reload(gradient, range)
      chunk.buffers.fromState = fromState(kept, plan, range)
      chunk.gradientsInter(state, dState)
      chunk.buffers.store(gradient, range)
      storeDG(chunk, head, gradient, range, adds: true)
      carry(dState, before: c, plan, by: chunk.buffers.totals)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// All of a chunk's gradients.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      let range = plan.chunks[c]
      let (state, dState) = (kept + c * stateCount, keptBackward + c * stateCount)
      load(&chunk, head, gradient, plan, kept, range)
      chunk.prepareState()
      chunk.prepareStateGradient()
      gradients(&chunk, head, gradient, plan, kept, range, state, dState)
      carry(dState, before: c, plan, by: chunk.buffers.totals)
    }
    withChunk(scratch, run, run, run, run)
  }

  /// After all is loaded and prepared: writes a chunk's gradients.
  private func gradients<Chunk: DiagonalChunk>(
    _ chunk: inout Chunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ plan: ChunkPlan, _ kept: UnsafeMutablePointer<Float>, _ range: Range<Int>,
    _ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>
  ) {
    chunk.gradientsIntra()
    chunk.buffers.addStored(gradient, range)
    storeDG(chunk, head, gradient, range, adds: gradient.dg?.accumulates ?? false)
    chunk.buffers.fromState = fromState(kept, plan, range)
    chunk.gradientsInter(state, dState)
    chunk.buffers.store(gradient, range)
    storeDG(chunk, head, gradient, range, adds: true)
  }

  /// Makes the gradient of the state before a chunk of the chunk's own share, which is kept, and that of the state after it.
  private func carry(
    _ dState: UnsafeMutablePointer<Float>, before c: Int, _ plan: ChunkPlan,
    by totals: UnsafePointer<Float>
  ) {
    guard c > 0 else { return }
    let previous = dState - stateCount
    if plan.resets[c] {
      previous.update(repeating: 0, count: stateCount)
    } else {
      carry(dState, by: totals, into: previous)
    }
  }

  /// All backward calls for a gradient that is known.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    func run(_ chunk: some DiagonalChunk) {
      var chunk = chunk
      Rows.copy(final, count: stateCount, into: initial)
      for (c, range) in plan.chunks.enumerated().reversed() {
        load(&chunk, head, gradient, plan, kept, range)
        chunk.prepareState()
        chunk.prepareStateGradient()
        gradients(
          &chunk, head, gradient, plan, kept, range, kept + c * stateCount, initial)
        if plan.resets[c] {
          initial.update(repeating: 0, count: stateCount)
        } else {
          chunk.addToStateGradient(from: initial, into: initial)
        }
      }
    }
    withChunk(scratch, run, run, run, run)
  }

  private func load<Chunk: DiagonalChunk>(
    _ chunk: inout Chunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ plan: ChunkPlan, _ kept: UnsafeMutablePointer<Float>, _ range: Range<Int>
  ) {
    chunk.buffers.denominators = denominators(kept, plan, range)
    chunk.setDecays(head, range)
    chunk.buffers.loadQ(head, range)
    chunk.buffers.loadK(head, range)
    chunk.buffers.loadV(head, range)
    chunk.buffers.loadDO(gradient, range)
  }

  /// Writes `dg`, which is 0 where the log decay is clamped.
  private func storeDG(
    _ chunk: some DiagonalChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ range: Range<Int>, adds: Bool
  ) {
    guard let g = head.g, decay == .scalar || isVector else { return }
    let (width, ld) = isVector ? (keyDimension, chunk.buffers.ldK) : (1, 1)
    if !chunk.isMild {
      Rows.clearClamped(
        g[range.lowerBound], stride: g.stride, rows: range.count, columns: width,
        in: chunk.buffers.dg, ld: ld)
    }
    chunk.buffers.storeDG(gradient, range, width: width, ld: ld, adds: adds)
  }
}
