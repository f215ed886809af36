extension MLSTMRecurrence {
  /// By what the gradient of a state is multiplied over the shard, and whether that of its maximum goes through.
  package func summarizeAdjoint(
    _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>, map: UnsafeMutablePointer<Float>
  ) {
    map[0] = plan.containsStart ? -0.0 : 1
    guard !plan.containsStart else { return }
    for c in plan.chunks.indices {
      stateMap.adjoint.composeMaps(later: factor(kept, plan, c), earlier: map, into: map)
    }
  }

  /// This shard's share of the gradient of its incoming state.
  package func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    state.update(repeating: 0, count: stateCount)
    for c in plan.chunks.indices.reversed() {
      load(&chunk, head, gradient, plan, c, kept)
      chunk.prepareStateGradient()
      if c > 0 {
        let increment = self.state(keptBackward, c - 1)
        chunk.addToStateGradient(from: nil, into: increment)
        carry(factor(kept, plan, c)[0], state, adding: increment, into: state)
      } else {
        chunk.addToStateGradient(from: state, into: state)
      }
      if plan.resets[c] { state.update(repeating: 0, count: stateCount) }
    }
  }

  /// What a chunk's gradients owe to the chunk alone.
  package func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    let range = plan.chunks[c]
    load(&chunk, head, gradient, plan, c, kept)
    chunk.buffers.loadK(head, range)
    chunk.buffers.loadV(head, range)
    chunk.gradientsIntra()
    chunk.buffers.addStored(gradient, range)
    chunk.buffers.store(gradient, range, isReadAgain: true)
    storeGates(chunk, gradient, range, adds: false)
  }

  /// Takes the gradient of the final state.
  package func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>
  ) {
    guard let last = plan.chunks.indices.last else { return }
    Rows.copy(final, count: stateCount, into: state(keptBackward, last))
  }

  /// The rest of a chunk's gradients.
  package func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk c: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    let range = plan.chunks[c]
    let dState = state(keptBackward, c)
    load(&chunk, head, gradient, plan, c, kept)
    chunk.buffers.loadK(head, range)
    chunk.buffers.loadV(head, range)
    chunk.prepareStateGradient()
    chunk.buffers.reload(gradient, range)
    chunk.gradientsInter(state(kept, c), dState)
    chunk.buffers.store(gradient, range)
    storeGates(chunk, gradient, range, adds: true)
    guard c > 0 else { return }
    let previous = state(keptBackward, c - 1)
    if plan.resets[c] {
      previous.update(repeating: 0, count: stateCount)
    } else {
      carry(factor(kept, plan, c)[0], dState, adding: previous, into: previous)
    }
  }

  /// All backward calls for a gradient that is known.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var chunk = MLSTMChunk(self, scratch)
    Rows.copy(final, count: stateCount, into: initial)
    for (c, range) in plan.chunks.enumerated().reversed() {
      load(&chunk, head, gradient, plan, c, kept)
      chunk.buffers.loadK(head, range)
      chunk.buffers.loadV(head, range)
      chunk.prepareStateGradient()
      chunk.gradientsIntra()
      chunk.buffers.addStored(gradient, range)
      storeGates(chunk, gradient, range, adds: false)
      chunk.gradientsInter(state(kept, c), initial)
      chunk.buffers.store(gradient, range)
      storeGates(chunk, gradient, range, adds: true)
      if plan.resets[c] {
        initial.update(repeating: 0, count: stateCount)
      } else {
        chunk.addToStateGradient(from: initial, into: initial)
      }
    }
  }

  private func load(
    _ chunk: inout MLSTMChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ plan: ChunkPlan, _ c: Int, _ kept: UnsafeMutablePointer<Float>
  ) {
    chunk.load(
      head, gradient, plan.chunks[c], entering: state(kept, c)[sumsCount],
      denominators: denominators(kept, plan, c))
  }

  /// `next ← adjoint map(state) + increment`, as `addToStateGradient` does it.
  private func carry(
    _ factor: Float, _ state: UnsafePointer<Float>, adding increment: UnsafePointer<Float>,
    into next: UnsafeMutablePointer<Float>
  ) {
    StabilisedState.combineAdjoint(factor, state, adding: increment, count: sumsCount, into: next)
  }

  /// Writes the gradients of the gates, or adds them.
  private func storeGates(
    _ chunk: MLSTMChunk, _ gradient: RecurrenceGradient, _ range: Range<Int>, adds: Bool
  ) {
    guard let dg = gradient.dg, let dbeta = gradient.dbeta else {
      preconditionFailure("the mLSTM needs the gradients of both gates")
    }
    for (source, rows) in [(chunk.df, dg), (chunk.di, dbeta)] {
      let sums = adds || rows.accumulates
      for i in 0..<range.count {
        let target = rows[range.lowerBound + i]
        target[0] = sums ? target[0] + source[i] : source[i]
      }
    }
  }
}
