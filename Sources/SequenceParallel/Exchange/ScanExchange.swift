import Kernels
import Measurement
import MessagePassing
import Tensors

/// Recursive doubling: after step k a rank knows the composition of the 2^(k+1) shards up to its own.
///
/// Concretely, counting ranks from the near end: in step k, rank r sends its composition to r + 2^k and
/// receives that of r − 2^k, which comes before its own. Receives are posted first, for all steps; a rank
/// sends in step k once it has composed what step k − 1 brought.
///
/// - Source: Hillis and Steele, "Data Parallel Algorithms" (CACM 1986), with the family's composition.
package final class ScanExchange: StateExchange {
  private let outbox = Outbox()

  package init() {}

  /// Posts the receives of a layer.
  package func begin(_ problem: SeamProblem) throws -> any StateTransfer {
    try ScanTransfer(problem, outbox: outbox)
  }

  /// Lets sends progress.
  package func poll() throws { try outbox.poll() }

  /// Waits until all sends have left.
  package func drain() throws { try outbox.drain() }
}

private final class ScanTransfer: StateTransfer {
  private let problem: SeamProblem
  private let outbox: Outbox
  private let group: any Communicator
  private let workspace: Workspace
  /// This rank's number from the near end.
  private let place: Int
  private var inbox: [IncomingMessage] = []
  /// How many steps have arrived, and in how many this rank has sent.
  private var step = 0
  private var sent = 0
  /// The composition of the shards up to this one, and of those before it; nil while there are none.
  private var inclusive: Summary
  private var exclusive: Summary?

  /// Where the maps that arrive are left for another state.
  private let lent: LentMaps?

  private struct Summary {
    let maps: Tensor
    let sums: Tensor
  }

  init(_ problem: SeamProblem, outbox: Outbox) throws {
    self.problem = problem
    self.outbox = outbox
    group = problem.pass.context.sequence
    workspace = problem.pass.context.workspace
    place = problem.direction == .forward ? group.rank : group.size - 1 - group.rank
    inclusive = Summary(maps: problem.maps, sums: problem.sums)
    lent = problem.direction == .backward ? problem.pass.memory[problem.slot] : nil
    lent?.begin()
    for step in 0..<Self.steps(group.size) where place - (1 << step) >= 0 {
      let source = rank(at: place - (1 << step))
      let message = Tensor([messageCount], pool: workspace.pool, kind: .states)
      let request = try group.receive(
        into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count),
        from: source, tag: problem.tag)
      inbox.append(IncomingMessage(message: message, request: request))
    }
  }

  private static func steps(_ ranks: Int) -> Int {
    Int.bitWidth - max(ranks - 1, 0).leadingZeroBitCount
  }

  private var messageCount: Int {
    MessageHeader.floats + problem.sentMapCount + problem.units * problem.stateCount
  }

  private func rank(at place: Int) -> Int {
    problem.direction == .forward ? place : group.size - 1 - place
  }

  func summaryReady() throws {
    if place == 0, let initial = problem.initial {
      workspace.compute(.recurrence) {
        problem.combine(0..<problem.units, initial.pointer, into: problem.sums.pointer)
      }
    }
    try sendReady()
    try advance()
  }

  func advance() throws {
    try outbox.poll()
    while step < inbox.count, try inbox[step].test() { try arrived() }
  }

  var isComplete: Bool { step == inbox.count }

  func finish() throws -> (incoming: Tensor?, final: Tensor?) {
    try advance()
    if step < inbox.count {
      try workspace.counters.measure(.stateWait) {
        while step < inbox.count {
          try inbox[step].wait(
            for: "step \(step) of the scan of layer \(problem.slot.layer)", polling: workspace.poll)
          try arrived()
        }
      }
    }
    let isFarEnd = place == group.size - 1
    let incoming = place == 0 ? problem.initial : exclusive?.sums
    return (incoming, isFarEnd && problem.wantsFinal ? inclusive.sums : nil)
  }

  /// Sends in every step whose predecessors have arrived; once no more can come, in all that are left.
  private func sendReady() throws {
    while sent < Self.steps(group.size), sent <= step || step == inbox.count {
      if place + (1 << sent) < group.size { try send(in: sent) }
      sent += 1
    }
  }

  private func send(in step: Int) throws {
    let message = Tensor([messageCount], pool: workspace.pool, kind: .states)
    workspace.compute(.recurrence) {
      header(step).write(to: message.pointer)
      let body = message.pointer + MessageHeader.floats
      body.update(from: inclusive.maps.pointer, count: problem.sentMapCount)
      (body + problem.sentMapCount).update(
        from: inclusive.sums.pointer, count: problem.units * problem.stateCount)
    }
    let destination = rank(at: place + (1 << step))
    try problem.pass.mark(
      .send(to: destination, tag: problem.tag), message.pointer, bytes: 4 * message.count
    ) {
      try outbox.send(message, to: destination, tag: problem.tag, through: group)
    }
    workspace.counters.stateBytesSent += 4 * (messageCount - MessageHeader.floats)
    workspace.counters.haloBytesSent += 4 * MessageHeader.floats
  }

  private func header(_ step: Int) -> MessageHeader {
    MessageHeader(problem, slice: step, count: messageCount - MessageHeader.floats)
  }

  /// Composes what this step brought before all that is known, and goes to the next step.
  private func arrived() throws {
    let source = rank(at: place - (1 << step))
    let message = inbox[step].message
    let borrowed: LentMaps? = problem.lender.flatMap { problem.pass.memory[$0] }
    let received = Summary(
      maps: borrowed?.maps(step)
        ?? Tensor([problem.units * problem.mapCount], pool: workspace.pool, kind: .states),
      sums: Tensor(problem.sums.shape, pool: workspace.pool, kind: .states))
    try problem.pass.mark(
      .receive(from: source, tag: problem.tag), message.pointer, bytes: 4 * message.count
    ) {
      try workspace.compute(.recurrence) {
        try header(step).check(message.pointer, rank: group.rank, source: source)
        let body = message.pointer + MessageHeader.floats
        if borrowed != nil {
          // They are there.
        } else if problem.knownMap == nil {
          received.maps.pointer.update(from: body, count: problem.sentMapCount)
        } else {
          knownMaps(endingAt: place - (1 << step), count: 1 << step, into: received.maps.pointer)
        }
        received.sums.pointer.update(
          from: body + problem.sentMapCount, count: problem.units * problem.stateCount)
      }
    }
    lent?.add(received.maps)
    exclusive = exclusive.map { compose(later: $0, received) } ?? received
    inclusive = compose(later: inclusive, received)
    step += 1
    try sendReady()
  }

  /// What follows from `earlier` and then `later`, both counted from the near end.
  private func compose(later: Summary, _ earlier: Summary) -> Summary {
    let result = Summary(
      maps: Tensor([problem.units * problem.mapCount], pool: workspace.pool, kind: .states),
      sums: Tensor(problem.sums.shape, pool: workspace.pool, kind: .states))
    workspace.compute(.recurrence) {
      problem.combine(
        maps: later.maps.pointer, sums: later.sums.pointer, count: problem.units,
        earlier.sums.pointer, into: result.sums.pointer)
      for unit in 0..<problem.units {
        let at = unit * problem.mapCount
        // The product stays untransposed: in time, the near end's shard comes last in the backward pass.
        let (first, second) =
          problem.direction == .forward ? (earlier.maps, later.maps) : (later.maps, earlier.maps)
        problem.map.composeMaps(
          later: second.pointer + at, earlier: first.pointer + at,
          into: result.maps.pointer + at)
      }
    }
    return result
  }

  /// The product of known maps over `count` places that end at `place`.
  private func knownMaps(
    endingAt place: Int, count: Int, into maps: UnsafeMutablePointer<Float>
  ) {
    guard let known = problem.knownMap else { return }
    for unit in 0..<problem.units {
      maps[unit] = (max(0, place - count + 1)...place).reduce(1) { $0 * known(rank(at: $1), unit) }
    }
  }
}

/// The maps that arrive in each step of a state's backward scan, for another state of the layer that goes back by them.
struct LentMaps: Kept {
  typealias Key = CarrySlot

  private final class Steps { var maps: [Tensor] = [] }
  private let steps = Steps()

  /// Forgets those of an earlier scan.
  func begin() { steps.maps = [] }
  /// Adds those of the next step.
  func add(_ maps: Tensor) { steps.maps.append(maps) }
  /// Those of a step.
  func maps(_ step: Int) -> Tensor { steps.maps[step] }

  /// The backward pass begins anew.
  var suspended: LentMaps? { nil }
  var tensors: [Tensor] { steps.maps }
}
