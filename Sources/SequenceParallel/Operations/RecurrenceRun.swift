import Kernels
import Measurement
import Tensors

/// A recurrence kernel on the units of one layer of one pass.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
struct RecurrenceRun: @unchecked Sendable {
  let units: RecurrenceUnits
  let slot: CarrySlot
  let pass: SequencePass

  var kernel: any RecurrenceKernel { units.kernel }
  var pool: BufferPool { workspace.pool }
  private var workspace: Workspace { pass.context.workspace }

  var map: StateMap { kernel.stateMap }

  /// Gives the output, and what the kernel keeps for the backward pass.
  func forward() throws -> (o: Tensor, kept: Tensor) {
    let work = RecurrenceForward(self)
    workspace.counters.note(.recurrence, operations: units.operations)
    try shard.forward(work)
    return (work.o, work.kept)
  }

  /// Gives the gradients of all inputs, and passes on the state's.
  ///
  /// - Parameter o: The output, where the kernel reads it.
  func backward(
    o: Tensor?, dO: Tensor, kept: Tensor, into gradients: RecurrenceGradients
  ) throws {
    workspace.counters.note(.recurrence, operations: 2 * units.operations)
    try shard.backward(RecurrenceBackward(self, o: o, dO: dO, kept: kept, into: gradients))
  }

  /// How its states cross seams.
  private var shard: ShardRun {
    ShardRun(
      slot: slot, pass: pass, map: map, units: units.count,
      knownMap: kernel.isMapKnown ? { self.knownMap($0, $1) } : nil)
  }

  /// The `M` of any rank and a unit, for recurrences whose decay does not come from data.
  private func knownMap(_ rank: Int, _ unit: Int) -> Float {
    let layout = units.layout
    return StateMap.known(
      logDecay: units.inputs.logDecay.isEmpty ? 0 : units.inputs.logDecay[unit % units.heads],
      tokens: layout.shardLengths[rank],
      containsStart: layout.hasStart(row: units.row(unit), rank: rank))
  }

  /// The gradient of what leaves the shard, of a unit among those of all; nil for zero.
  func gradient(_ tensor: Tensor?, _ unit: Int) -> UnsafePointer<Float>? {
    units.endsAnew(unit) ? nil : state(tensor, unit)
  }

  /// The state of a unit among those of all; nil where there are none.
  func state(_ tensor: Tensor?, _ unit: Int) -> UnsafePointer<Float>? {
    tensor.map { UnsafePointer($0.pointer + unit * map.stateCount) }
  }

  /// Works on every unit over all threads, and lets messages move on after some of them.
  ///
  /// The units of a group come one after another.
  ///
  /// - Parameter tokens: Tokens of a unit that are worked on; the whole shard's where nil.
  func each(
    tokens: Int? = nil,
    _ body: @Sendable (_ unit: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let (team, groups) = (workspace.team, units.groups)
    let each = (kernel.scratchCount + 15) / 16 * 16
    let scratch = Tensor([each * team.size], pool: pool, kind: .buffers)
    let (members, unit) = (units.count / max(groups, 1), operations(tokens ?? units.mostTokens))
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
  ///
  /// - Parameter ends: Whether it ends as soon as nothing is awaited.
  /// - Returns: How many chunks of each unit it has come to.
  func inBatches(
    _ transfer: any StateTransfer, ends: Bool,
    _ body: @Sendable (_ unit: Int, _ chunk: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws -> Int {
    let most = units.plans.map(\.chunks.count).max() ?? 0
    let batch = max(1, (most + 7) / 8)
    for start in stride(from: 0, to: most, by: batch) {
      if ends, transfer.isComplete { return start }
      try each(tokens: batch * kernel.chunkLength) { unit, scratch in
        // Rows differ in their number of chunks: each document's last one may be short.
        let count = units.plan(unit).chunks.count
        for chunk in min(start, count)..<min(start + batch, count) { body(unit, chunk, scratch) }
      }
      try transfer.advance()
      try workspace.poll()
    }
    return most
  }
}

/// The forward pass of a recurrence on one shard: outputs, and what the kernel keeps for the way back.
struct RecurrenceForward: ShardWork, @unchecked Sendable {
  let run: RecurrenceRun
  /// Shape `[N, heads·outputWidth]`.
  let o: Tensor
  let kept: Tensor

  private var units: RecurrenceUnits { run.units }
  private var kernel: any RecurrenceKernel { run.kernel }

  init(_ run: RecurrenceRun) {
    self.run = run
    o = Tensor([run.units.rowCount, run.units.heads * run.kernel.outputWidth], pool: run.pool)
    kept = Tensor([run.units.keptCount], pool: run.pool, kind: .states)
  }

  private func kept(_ unit: Int) -> UnsafeMutablePointer<Float> {
    kept.pointer + units.keptOffsets[unit]
  }

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.each { unit, scratch in
      let final = leaving.pointer + unit * run.map.stateCount
      kernel.forward(
        units.head(unit), units.plan(unit), kept: kept(unit), initial: run.state(entering, unit),
        o: units.output(unit, o), final: final, scratch: scratch)
      if units.endsAnew(unit) { final.update(repeating: 0, count: run.map.stateCount) }
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    let map = run.map
    let mapCount = map.kind.count(map.keyDimension)
    try run.each { unit, scratch in
      let (own, sum) = (maps.pointer + unit * mapCount, sums.pointer + unit * map.stateCount)
      kernel.summarize(
        units.head(unit), units.plan(unit), kept: kept(unit), map: own, state: sum,
        scratch: scratch)
      if units.endsAnew(unit) {
        own.update(repeating: 0, count: mapCount)
        sum.update(repeating: 0, count: map.stateCount)
      }
    }
  }

  func intra(_ transfer: any StateTransfer) throws -> Int {
    try run.inBatches(transfer, ends: true) { unit, chunk, scratch in
      kernel.outputIntra(
        units.head(unit), units.plan(unit), chunk: chunk, kept: kept(unit),
        o: units.output(unit, o), scratch: scratch)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try run.each { unit, scratch in
      let (plan, kept) = (units.plan(unit), kept(unit))
      let (head, output) = (units.head(unit), units.output(unit, o))
      kernel.begin(run.state(entering, unit), plan, kept: kept)
      for chunk in plan.chunks.indices {
        if chunk < chunks {
          kernel.outputInter(head, plan, chunk: chunk, kept: kept, o: output, scratch: scratch)
        } else {
          kernel.output(head, plan, chunk: chunk, kept: kept, o: output, scratch: scratch)
        }
      }
    }
  }
}

/// The backward pass of a recurrence on one shard: the gradients of its inputs.
struct RecurrenceBackward: ShardWork, @unchecked Sendable {
  let run: RecurrenceRun
  let dO: Tensor
  let kept, keptBackward: Tensor
  let gradients: RecurrenceGradients
  /// The output, where the kernel reads it.
  let o: Tensor?

  private var units: RecurrenceUnits { run.units }
  private var kernel: any RecurrenceKernel { run.kernel }

  init(
    _ run: RecurrenceRun, o: Tensor?, dO: Tensor, kept: Tensor,
    into gradients: RecurrenceGradients
  ) {
    (self.run, self.o, self.dO, self.kept, self.gradients) = (run, o, dO, kept, gradients)
    keptBackward = Tensor([run.units.keptBackwardCount], pool: run.pool, kind: .states)
  }

  private func kept(_ unit: Int) -> UnsafeMutablePointer<Float> {
    kept.pointer + units.keptOffsets[unit]
  }

  private func keptBackward(_ unit: Int) -> UnsafeMutablePointer<Float> {
    keptBackward.pointer + units.keptBackwardOffsets[unit]
  }

  private func gradient(_ unit: Int) -> RecurrenceGradient {
    units.gradient(unit, o: o, dO: dO, gradients)
  }

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.each { unit, scratch in
      kernel.backward(
        units.head(unit), gradient(unit), units.plan(unit), kept: kept(unit),
        keptBackward: keptBackward(unit), final: run.gradient(entering, unit),
        initial: leaving.pointer + unit * run.map.stateCount, scratch: scratch)
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    try run.each { unit, scratch in
      kernel.summarizeBackward(
        units.head(unit), gradient(unit), units.plan(unit), kept: kept(unit),
        keptBackward: keptBackward(unit), state: sums.pointer + unit * run.map.stateCount,
        scratch: scratch)
      if kernel.mapKind.adjoint != kernel.mapKind {
        let map = run.map.adjoint
        kernel.summarizeAdjoint(
          units.plan(unit), kept: kept(unit),
          map: maps.pointer + unit * map.kind.count(map.keyDimension))
      }
    }
  }

  func intra(_ transfer: any StateTransfer) throws -> Int {
    // Where heads share a gradient, the order of its sum must not depend on when the state arrives.
    try run.inBatches(transfer, ends: units.count == units.groups) { unit, chunk, scratch in
      kernel.backwardIntra(
        units.head(unit), gradient(unit), units.plan(unit), chunk: chunk, kept: kept(unit),
        keptBackward: keptBackward(unit), scratch: scratch)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try run.each { unit, scratch in
      let (plan, keptBackward) = (units.plan(unit), keptBackward(unit))
      let (head, gradient) = (units.head(unit), gradient(unit))
      kernel.beginBackward(run.gradient(entering, unit), plan, keptBackward: keptBackward)
      for chunk in plan.chunks.indices.reversed() {
        if chunk < chunks {
          kernel.backwardInter(
            head, gradient, plan, chunk: chunk, kept: kept(unit), keptBackward: keptBackward,
            scratch: scratch)
        } else {
          kernel.backward(
            head, gradient, plan, chunk: chunk, kept: kept(unit), keptBackward: keptBackward,
            scratch: scratch)
        }
      }
    }
  }
}
