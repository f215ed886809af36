import Measurement
import MessagePassing
import Tensors

/// LASP-2's exchange: one all-gather of every rank's summary, then each rank composes what came before it.
///
/// Forward, a rank gives `M` (unless all know it) and `B`; backward `E` alone, since the maps are still
/// there, unless gradients go back by others. The near end's initial state is folded into its own sum, so nobody else needs it.
///
/// - Source: LASP-2 (arXiv 2502.07563), Algorithm 2.
package final class GatherExchange: StateExchange {
  package init() {}

  /// Begins a layer; the collective is posted when the summary is there.
  package func begin(_ problem: SeamProblem) throws -> any StateTransfer { GatherTransfer(problem) }

  /// Its requests are driven by their transfers.
  package func poll() {}

  /// Nothing is left behind.
  package func drain() {}
}

private final class GatherTransfer: StateTransfer {
  private let problem: SeamProblem
  private let group: any Communicator
  private let mapCount: Int
  private let mine: Tensor
  private let all: Tensor
  private var incoming: IncomingMessage?
  private(set) var isComplete = false

  init(_ problem: SeamProblem) {
    self.problem = problem
    let context = problem.pass.context
    group = context.sequence
    mapCount = problem.direction == .forward || problem.hasOwnMaps ? problem.sentMapCount : 0
    let count = MessageHeader.floats + mapCount + problem.units * problem.stateCount
    mine = Tensor([count], pool: context.workspace.pool, kind: .states)
    all = Tensor([group.size, count], pool: context.workspace.pool, kind: .states)
  }

  func summaryReady() throws {
    let (workspace, units) = (problem.pass.context.workspace, problem.units)
    let isNearEnd = group.rank == (problem.direction == .forward ? 0 : group.size - 1)
    workspace.compute(.recurrence) {
      header(of: group.rank).write(to: mine.pointer)
      let maps = mine.pointer + MessageHeader.floats
      if mapCount > 0 { maps.update(from: problem.maps.pointer, count: mapCount) }
      let initial = isNearEnd ? problem.initial.map { UnsafePointer($0.pointer) } : nil
      problem.combine(0..<units, initial, into: maps + mapCount)
    }
    try problem.pass.mark(
      .send(to: nil, tag: problem.tag), mine.pointer, bytes: 4 * mine.count
    ) {
      let request = try group.allGather(
        UnsafeRawBufferPointer(start: mine.pointer, count: 4 * mine.count),
        into: UnsafeMutableRawBufferPointer(start: all.pointer, count: 4 * all.count))
      incoming = IncomingMessage(message: all, request: request)
    }
    let counters = workspace.counters
    counters.stateBytesSent += 4 * (group.size - 1) * (mine.count - MessageHeader.floats)
    counters.haloBytesSent += 4 * (group.size - 1) * MessageHeader.floats
  }

  func advance() throws {
    isComplete = try incoming?.test() ?? false
  }

  func finish() throws -> (incoming: Tensor?, final: Tensor?) {
    let workspace = problem.pass.context.workspace
    if let messages = incoming, !(try messages.test()) {
      try workspace.counters.measure(.stateWait) {
        try messages.wait(
          for: "the gathered states of layer \(problem.slot.layer)", polling: workspace.poll)
      }
    }
    let forward = problem.direction == .forward
    // From the near end to this rank; the far end goes one further for what leaves the group.
    let order = forward ? Array(0..<group.size) : Array((0..<group.size).reversed())
    let place = order.firstIndex(of: group.rank)!
    let isFarEnd = place == group.size - 1
    let maps = try gatheredMaps()
    let shape = problem.map.shape(problem.units)
    var state = place == 0 ? problem.initial : nil
    for rank in order[..<place] {
      let next = Tensor(shape, pool: workspace.pool, kind: .states)
      try problem.pass.mark(
        .receive(from: nil, tag: problem.tag), all.pointer + rank * mine.count,
        bytes: 4 * mine.count
      ) {
        try workspace.compute(.recurrence) { try compose(rank, maps, state, into: next) }
      }
      state = next
    }
    guard isFarEnd && problem.wantsFinal else { return (state, nil) }
    let final = Tensor(shape, pool: workspace.pool, kind: .states)
    workspace.compute(.recurrence) {
      problem.combine(
        0..<problem.units, state.map { UnsafePointer($0.pointer) }, into: final.pointer)
    }
    return (state, final)
  }

  /// `next = M_rank S + B_rank`; without an `S` it is zero.
  private func compose(_ rank: Int, _ maps: Tensor, _ state: Tensor?, into next: Tensor) throws {
    let message = all.pointer + rank * mine.count
    try header(of: rank).check(message, rank: group.rank, source: rank)
    let sums = message + MessageHeader.floats + mapCount
    let count = problem.units * problem.stateCount
    guard let state else { return next.pointer.update(from: sums, count: count) }
    problem.combine(
      maps: maps.pointer + rank * problem.units * problem.mapCount, sums: sums,
      count: problem.units, state.pointer, into: next.pointer)
  }

  private func header(of rank: Int) -> MessageHeader {
    MessageHeader(problem, slice: rank, count: mine.count - MessageHeader.floats)
  }

  /// Every rank's maps: known, or as the forward pass gathered them.
  private func gatheredMaps() throws -> Tensor {
    let pass = problem.pass
    if !problem.hasOwnMaps,
      let gathered: GatheredMaps = pass.memory[problem.lender ?? problem.slot]
    {
      return gathered.maps
    }
    let each = problem.units * problem.mapCount
    let maps = Tensor([group.size, each], pool: pass.context.workspace.pool, kind: .states)
    pass.context.workspace.compute(.recurrence) {
      for rank in 0..<group.size {
        let target = maps.pointer + rank * each
        if let known = problem.knownMap {
          for unit in 0..<problem.units { target[unit] = known(rank, unit) }
        } else {
          target.update(
            from: all.pointer + rank * mine.count + MessageHeader.floats, count: each)
        }
      }
    }
    if !problem.hasOwnMaps { pass.memory[problem.slot] = GatheredMaps(maps: maps) }
    return maps
  }
}

/// Every rank's maps `M` of a state, for the backward exchange.
private struct GatheredMaps: Kept {
  typealias Key = CarrySlot

  /// `[ranks, units, mapCount]`.
  let maps: Tensor

  var suspended: GatheredMaps? { self }
  var tensors: [Tensor] { [maps] }
}
