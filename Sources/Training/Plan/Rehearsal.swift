import Measurement
import MessagePassing
import Tensors

/// A step of one rank in which nothing is computed: what it allocates and sends is what a real one does.
///
/// The very code of training runs, over memory that is reserved but never touched and messages that go
/// nowhere. So the figures of the dry run cannot drift away from the program.
struct Rehearsal {
  /// The rank; or the process, where it is of several virtual ranks together.
  let rank: Int
  /// Tokens of a sequence that it holds.
  let shard: Int
  /// Segments whose passes it holds at once.
  let segmentsHeld: Int
  /// Bytes of its memory by kind when it needs the most.
  let peakByKind: [Int]
  /// Bytes that its pool holds in the steady state, cached blocks included.
  let poolBytes: Int
  /// Bytes of blocks that its pool may cache beside, where sizes differ from step to step.
  let spareBytes: Int
  /// Bytes of tokens, targets and per-token results outside the pool.
  let tokenBytes: Int
  /// Bytes of the copy from which it writes its part of a checkpoint.
  let copyBytes: Int
  /// Bytes that the run adds to the process.
  var bytes: Int { poolBytes + spareBytes + tokenBytes + copyBytes }
  /// Bytes of states that it sends a step.
  let stateBytes: Int
  /// Bytes of headers and halos that it sends a step.
  let haloBytes: Int
  /// Bytes of gradients that it sends a step.
  let gradientBytes: Int
  /// Bytes of sharded weights that it sends a step.
  let weightBytes: Int
  /// Bytes of tokens and their gradients that it sends a step to experts of other ranks, and back.
  let expertBytes: Int
  /// Bytes of all kinds that it sends a step.
  var bytesSent: Int { stateBytes + haloBytes + gradientBytes + weightBytes + expertBytes }
  /// Bytes of all kinds that it sends a step to ranks of other processes.
  let bytesToOtherProcesses: Int

  /// What the virtual ranks of a process need and send together.
  init(process: Int, of ranks: [Rehearsal]) {
    rank = process
    shard = ranks.reduce(0) { $0 + $1.shard }
    segmentsHeld = ranks.map(\.segmentsHeld).min() ?? 1
    peakByKind = ranks[0].peakByKind.indices.map { kind in
      ranks.reduce(0) { $0 + $1.peakByKind[kind] }
    }
    poolBytes = ranks.reduce(0) { $0 + $1.poolBytes }
    spareBytes = ranks.reduce(0) { $0 + $1.spareBytes }
    tokenBytes = ranks.reduce(0) { $0 + $1.tokenBytes }
    copyBytes = ranks.reduce(0) { $0 + $1.copyBytes }
    stateBytes = ranks.reduce(0) { $0 + $1.stateBytes }
    haloBytes = ranks.reduce(0) { $0 + $1.haloBytes }
    gradientBytes = ranks.reduce(0) { $0 + $1.gradientBytes }
    weightBytes = ranks.reduce(0) { $0 + $1.weightBytes }
    expertBytes = ranks.reduce(0) { $0 + $1.expertBytes }
    bytesToOtherProcesses = ranks.reduce(0) { $0 + $1.bytesToOtherProcesses }
  }

  /// A step of so many micro-batches, of which each after the second adds the same, by steps of two and of three.
  init(of count: Int, afterTwo two: Rehearsal, andThree three: Rehearsal) {
    func after(_ value: (Rehearsal) -> Int) -> Int {
      value(three) + (count - 3) * (value(three) - value(two))
    }
    (rank, shard, segmentsHeld) = (three.rank, three.shard, three.segmentsHeld)
    peakByKind = three.peakByKind.indices.map { kind in after { $0.peakByKind[kind] } }
    poolBytes = after(\.poolBytes)
    spareBytes = after(\.spareBytes)
    tokenBytes = after(\.tokenBytes)
    copyBytes = after(\.copyBytes)
    stateBytes = after(\.stateBytes)
    haloBytes = after(\.haloBytes)
    gradientBytes = after(\.gradientBytes)
    weightBytes = after(\.weightBytes)
    expertBytes = after(\.expertBytes)
    bytesToOtherProcesses = after(\.bytesToOtherProcesses)
  }

  /// Rehearses until the state is steady: two steps, or one of several segments.
  init(of run: TrainingRun, rank: Int, world: RehearsalCommunicator) throws {
    let workspace = run.context.workspace
    var before = 0
    for step in 0..<(run.cut.segments > 1 ? 1 : 2) {
      workspace.counters.reset()
      before = world.bytesToOtherProcesses
      _ = try run.step(step)
    }
    self.rank = rank
    let positions = (0..<run.cut.segments).map { run.cut.positions($0).count }
    shard = positions.reduce(0, +)
    let statistics = workspace.pool.statistics
    peakByKind = statistics.peakByKind
    poolBytes = statistics.held
    spareBytes =
      workspace.pool.sizesVary ? max(0, statistics.mostOfVaryingSizes - statistics.held) : 0
    // Inputs, targets and origins of all segments that are held; the results and copies of the one at work.
    let rows = run.microBatches[0].count
    segmentsHeld = try run.groupSize
    tokenBytes = 4 * rows * (positions.max() ?? 0) * (3 * segmentsHeld + 5)
    copyBytes =
      run.configuration.checkpoint.background
      ? try run.ownNumbers().reduce(0) { $0 + 4 * $1.1.count } : 0
    stateBytes = workspace.counters.stateBytesSent
    haloBytes = workspace.counters.haloBytesSent
    gradientBytes = workspace.counters.gradientBytesSent
    weightBytes = workspace.counters.weightBytesSent
    expertBytes = workspace.counters.expertBytesSent
    bytesToOtherProcesses = world.bytesToOtherProcesses - before
  }
}
