import Autodiff
import Kernels
import Measurement
import Tensors

extension Tape {
  /// A linear recurrence over the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `S_t = A_t S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`, where `S` before the shard comes
  /// from the rank before. In each direction: the receive is posted first, the shard's own summary is
  /// computed before the wait, the outgoing state leaves as soon as the incoming one is there, and the work
  /// inside chunks fills the wait. Run again (recomputation), it uses the state it received and sends nothing.
  ///
  /// - Parameters:
  ///   - kernel: Which recurrence.
  ///   - inputs: q, k, v and what the kernel reads beside them.
  ///   - slot: The layer and state, for carries and messages.
  ///   - pass: The shard's layout and seams.
  /// - Returns: `[N, heads·outputWidth]`.
  /// - Source: LASP (arXiv 2404.02882) for the order of events.
  package func recurrence(
    _ kernel: any RecurrenceKernel, _ inputs: RecurrenceInputs, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let units = RecurrenceUnits(kernel: kernel, inputs: inputs, layout: pass.layout)
    let run = RecurrenceRun(units: units, slot: slot, pass: pass)
    let (o, kept) = try workspace.counters.measure(.recurrence) { try run.forward() }
    return record(o, inputs: inputs.variables) { [unowned self] dO in
      try workspace.counters.measure(.recurrence) {
        let gradients = RecurrenceGradients(inputs, pool: pool)
        try run.backward(dO: dO, kept: kept, into: gradients)
        gradients.deliver(to: inputs, in: workspace)
      }
    }
  }
}

/// Drives a recurrence kernel and the exchange of its states, for one layer of one pass.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
struct RecurrenceRun: @unchecked Sendable {
  let units: RecurrenceUnits
  let slot: CarrySlot
  let pass: SequencePass

  private var kernel: any RecurrenceKernel { units.kernel }
  private var workspace: Workspace { pass.context.workspace }
  private var pool: BufferPool { workspace.pool }
  private var isAlone: Bool { pass.layout.shardLengths.count == 1 }

  private var stateShape: Shape { [units.count, kernel.keyDimension, kernel.valueDimension] }
  private var map: StateMap {
    StateMap(
      kernel.mapKind, keyDimension: kernel.keyDimension, valueDimension: kernel.valueDimension)
  }

  /// Gives the output, and what the kernel keeps for the backward pass.
  func forward() throws -> (o: Tensor, kept: Tensor) {
    let o = Tensor(
      [units.layout.rows * units.layout.length, units.heads * kernel.outputWidth], pool: pool)
    let kept = Tensor([units.keptOffsets.last!], pool: pool, kind: .states)
    if let entered: EnteredState = pass.memory[slot] {
      try known(entered.state, o: o, kept: kept)
    } else if isAlone {
      let final = try known(pass.left.values[slot], o: o, kept: kept)
      if pass.keepsRight { pass.right.values[slot] = final }
      pass.memory[slot] = EnteredState(state: pass.left.values[slot])
    } else {
      let transfer = try exchange(
        .forward, initial: pass.left.values[slot], wantsFinal: pass.keepsRight)
      try summarize(transfer, kept: kept)
      try inBatches(transfer.transfer) { unit, chunk, scratch in
        kernel.outputIntra(
          units.head(unit), units.plan(unit), chunk: chunk,
          kept: kept.pointer + units.keptOffsets[unit], o: units.output(unit, o), scratch: scratch)
      }
      let (incoming, final) = try transfer.transfer.finish()
      if pass.holdsRight { pass.right.values[slot] = final ?? Tensor(stateShape, pool: pool) }
      pass.memory[slot] = EnteredState(state: incoming)
      try inter(incoming, o: o, kept: kept)
    }
    return (o, kept)
  }

  /// Gives the gradients of all inputs, and passes on the state's.
  func backward(dO: Tensor, kept: Tensor, into gradients: RecurrenceGradients) throws {
    let keptBackward = Tensor([units.keptBackwardOffsets.last!], pool: pool, kind: .states)
    let final = pass.right.gradients[slot]
    if isAlone {
      let initial = Tensor(stateShape, pool: pool, kind: .states)
      try each { unit, scratch in
        kernel.backward(
          units.head(unit), units.gradient(unit, dO: dO, gradients), units.plan(unit),
          kept: kept.pointer + units.keptOffsets[unit],
          keptBackward: keptBackward.pointer + units.keptBackwardOffsets[unit],
          final: state(final, unit), initial: initial.pointer + unit * map.stateCount,
          scratch: scratch)
      }
      if pass.wantsLeftGradients { pass.left.gradients[slot] = initial }
      return
    }
    let (transfer, problem) = try exchange(
      .backward, initial: final, wantsFinal: pass.wantsLeftGradients)
    let sums = problem.sums
    try each { unit, scratch in
      kernel.summarizeBackward(
        units.head(unit), units.gradient(unit, dO: dO, gradients), units.plan(unit),
        kept: kept.pointer + units.keptOffsets[unit],
        keptBackward: keptBackward.pointer + units.keptBackwardOffsets[unit],
        state: sums.pointer + unit * map.stateCount, scratch: scratch)
    }
    try transfer.summaryReady()
    try inBatches(transfer) { unit, chunk, scratch in
      kernel.backwardIntra(
        units.head(unit), units.gradient(unit, dO: dO, gradients), units.plan(unit), chunk: chunk,
        kept: kept.pointer + units.keptOffsets[unit],
        keptBackward: keptBackward.pointer + units.keptBackwardOffsets[unit], scratch: scratch)
    }
    let (incoming, initial) = try transfer.finish()
    if pass.holdsLeftGradients {
      pass.left.gradients[slot] = initial ?? Tensor(stateShape, pool: pool)
    }
    try each { unit, scratch in
      let (plan, at) = (units.plan(unit), units.keptBackwardOffsets[unit])
      let (head, gradient) = (units.head(unit), units.gradient(unit, dO: dO, gradients))
      kernel.beginBackward(
        state(incoming, unit), plan, keptBackward: keptBackward.pointer + at)
      for chunk in plan.chunks.indices.reversed() {
        kernel.backwardInter(
          head, gradient, plan, chunk: chunk, kept: kept.pointer + units.keptOffsets[unit],
          keptBackward: keptBackward.pointer + at, scratch: scratch)
      }
    }
  }

  /// Posts the receives of one direction; the maps of the forward pass serve the backward one too.
  private func exchange(
    _ direction: ExchangeDirection, initial: Tensor?, wantsFinal: Bool
  ) throws -> (transfer: any StateTransfer, problem: SeamProblem) {
    let mapCount = map.kind.count(kernel.keyDimension)
    let maps = pass.memory.of(slot) {
      ShardMaps(maps: Tensor([units.count, mapCount], pool: pool, kind: .states))
    }.maps
    let problem = SeamProblem(
      direction: direction, slot: slot, pass: pass, map: map, units: units.count, maps: maps,
      sums: Tensor(stateShape, pool: pool, kind: .states),
      knownMap: kernel.isMapKnown ? { self.knownMap($0, $1) } : nil,
      initial: initial,
      wantsFinal: wantsFinal)
    return (try pass.context.exchange.begin(problem), problem)
  }

  /// The `M` of any rank and a unit, for recurrences whose decay does not come from data.
  private func knownMap(_ rank: Int, _ unit: Int) -> Float {
    let layout = units.layout
    return StateMap.known(
      logDecay: units.inputs.logDecay.isEmpty ? 0 : units.inputs.logDecay[unit % units.heads],
      tokens: layout.shardLengths[rank],
      containsStart: layout.hasStart(row: unit / units.heads, rank: rank))
  }

  private func summarize(
    _ exchange: (transfer: any StateTransfer, problem: SeamProblem), kept: Tensor
  ) throws {
    let (maps, sums) = (exchange.problem.maps, exchange.problem.sums)
    let mapCount = map.kind.count(kernel.keyDimension)
    try each { unit, scratch in
      kernel.summarize(
        units.head(unit), units.plan(unit), kept: kept.pointer + units.keptOffsets[unit],
        map: maps.pointer + unit * mapCount,
        state: sums.pointer + unit * map.stateCount, scratch: scratch)
    }
    try exchange.transfer.summaryReady()
  }

  /// The forward pass from a state that is there; gives the state after the shard.
  @discardableResult
  private func known(_ initial: Tensor?, o: Tensor, kept: Tensor) throws -> Tensor {
    let final = Tensor(stateShape, pool: pool, kind: .states)
    try each { unit, scratch in
      kernel.forward(
        units.head(unit), units.plan(unit), kept: kept.pointer + units.keptOffsets[unit],
        initial: state(initial, unit), o: units.output(unit, o),
        final: final.pointer + unit * map.stateCount, scratch: scratch)
    }
    return final
  }

  private func inter(_ incoming: Tensor?, o: Tensor, kept: Tensor) throws {
    try each { unit, scratch in
      let (plan, kept) = (units.plan(unit), kept.pointer + units.keptOffsets[unit])
      let (head, output) = (units.head(unit), units.output(unit, o))
      kernel.begin(state(incoming, unit), plan, kept: kept)
      for chunk in plan.chunks.indices {
        kernel.outputInter(head, plan, chunk: chunk, kept: kept, o: output, scratch: scratch)
      }
    }
  }

  private func state(_ tensor: Tensor?, _ unit: Int) -> UnsafePointer<Float>? {
    tensor.map { UnsafePointer($0.pointer + unit * map.stateCount) }
  }

  /// Works on every unit over all threads, and lets messages move on after some of them.
  ///
  /// The units of a group come one after another.
  ///
  /// - Parameter tokens: Tokens of a unit that are worked on; the whole shard's where nil.
  private func each(
    tokens: Int? = nil,
    _ body: @Sendable (_ unit: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let (team, groups) = (workspace.team, units.groups)
    let each = (kernel.scratchCount + 15) / 16 * 16
    let scratch = Tensor([each * team.size], pool: pool, kind: .buffers)
    let (members, unit) = (units.count / max(groups, 1), operations(tokens ?? units.layout.length))
    try workspace.run {
      try workspace.inBatches(groups, operations: members * unit, atLeast: team.size) { groups in
        try workspace.inBatches(members, operations: groups.count * unit) { batch in
          team.parallel(groups.count) { thread, range in
            for group in range {
              let first = (groups.lowerBound + group) * members
              for member in batch { body(first + member, scratch.pointer + thread * each) }
            }
          }
        }
      }
    }
  }

  /// About how many operations a unit takes.
  private func operations(_ tokens: Int) -> Int {
    let (k, v) = (kernel.keyDimension, kernel.valueDimension)
    return 4 * tokens * (kernel.chunkLength * (k + v) + k * v)
  }

  /// Works on every chunk of every unit in some batches, and lets messages move on between them.
  private func inBatches(
    _ transfer: any StateTransfer,
    _ body: @Sendable (_ unit: Int, _ chunk: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let most = units.plans.map(\.chunks.count).max() ?? 0
    let batch = max(1, (most + 7) / 8)
    for start in stride(from: 0, to: most, by: batch) {
      try each(tokens: batch * kernel.chunkLength) { unit, scratch in
        // Rows differ in their number of chunks: each document's last one may be short.
        let count = units.plan(unit).chunks.count
        for chunk in min(start, count)..<min(start + batch, count) { body(unit, chunk, scratch) }
      }
      try transfer.advance()
      try workspace.poll()
    }
  }
}
