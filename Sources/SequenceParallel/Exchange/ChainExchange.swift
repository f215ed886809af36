import Measurement
import MessagePassing
import Tensors

/// LASP's exchange: states go from neighbour to neighbour, and only states.
///
/// Forward, rank r receives `S` from r−1 and sends `M S + B` to r+1; backward the other way. The receives
/// are posted first; a slice of heads is sent on the moment it is combined. There is no barrier and no
/// collective, so the fill of the chain is paid once a pass.
///
/// - Source: LASP (arXiv 2404.02882), Algorithms 2 and 3.
package final class ChainExchange: StateExchange {
  private let outbox = Outbox()

  package init() {}

  /// Posts the receives of a layer's states.
  package func begin(_ problem: SeamProblem) throws -> any StateTransfer {
    try ChainTransfer(problem, outbox: outbox)
  }

  /// Lets sends progress.
  package func poll() throws { try outbox.poll() }

  /// Waits until all sends have left.
  package func drain() throws { try outbox.drain() }
}

private final class ChainTransfer: StateTransfer {
  private let problem: SeamProblem
  private let outbox: Outbox
  private let group: any Communicator
  private let source: Int?
  private let destination: Int?
  private let slices: [Range<Int>]
  private var inbox: [IncomingMessage] = []
  private let incoming: Tensor?
  private var final: Tensor?
  private var done = 0

  /// Bytes of a slice that are worth a message of their own.
  private static let sliceBytes = 1 << 17

  init(_ problem: SeamProblem, outbox: Outbox) throws {
    self.problem = problem
    self.outbox = outbox
    let context = problem.pass.context
    let pool = context.workspace.pool
    group = context.sequence
    let (before, after) = (group.rank - 1, group.rank + 1)
    let (near, far) = problem.direction == .forward ? (before, after) : (after, before)
    source = near >= 0 && near < group.size ? near : nil
    destination = far >= 0 && far < group.size ? far : nil
    let (units, count) = (problem.units, problem.stateCount)
    let parts = max(1, min(units, 4 * units * count / ChainTransfer.sliceBytes, 8))
    slices = (0..<parts).map { units * $0 / parts..<units * ($0 + 1) / parts }
    if let source {
      // One buffer holds every slice's header and states, so that the states are one tensor in the end.
      incoming = Tensor(problem.map.shape(units), pool: pool, kind: .states)
      for slice in slices {
        let message = Tensor(
          [MessageHeader.floats + slice.count * count], pool: pool, kind: .states)
        let request = try group.receive(
          into: UnsafeMutableRawBufferPointer(
            start: message.pointer, count: 4 * message.count), from: source, tag: problem.tag)
        inbox.append(IncomingMessage(message: message, request: request))
      }
    } else {
      incoming = problem.initial
    }
    if destination == nil && problem.wantsFinal {
      final = Tensor(problem.map.shape(units), pool: pool, kind: .states)
    }
  }

  func summaryReady() throws { try advance() }

  func advance() throws {
    try outbox.poll()
    while done < slices.count {
      if source != nil, !(try inbox[done].test()) { return }
      try pass(done)
      done += 1
    }
  }

  var isComplete: Bool { done == slices.count }

  func finish() throws -> (incoming: Tensor?, final: Tensor?) {
    try advance()
    if done < slices.count, let source {
      try problem.pass.context.counters.measure(.stateWait) {
        while done < slices.count {
          try inbox[done].wait(
            for:
              "the \(problem.direction) state of layer \(problem.slot.layer) from rank \(source)",
            polling: problem.pass.context.workspace.poll)
          try pass(done)
          done += 1
        }
      }
    }
    try outbox.push(seconds: 3e-4)
    return (incoming, final)
  }

  /// Takes a slice that has arrived and sends on what follows from it.
  private func pass(_ index: Int) throws {
    let (slice, count) = (slices[index], problem.stateCount)
    let workspace = problem.pass.context.workspace
    var input: UnsafePointer<Float>?
    if let incoming {
      let target = incoming.pointer + slice.lowerBound * count
      if source != nil {
        let message = inbox[index].message
        try problem.pass.mark(
          .receive(from: source, tag: problem.tag), message.pointer, bytes: 4 * message.count
        ) {
          try workspace.compute(.recurrence) { try unpack(index, into: target) }
        }
      }
      input = UnsafePointer(target)
    }
    if let destination {
      let message = Tensor(
        [MessageHeader.floats + slice.count * count], pool: workspace.pool, kind: .states)
      workspace.compute(.recurrence) {
        MessageHeader(problem, slice: index, count: slice.count * count).write(to: message.pointer)
        problem.combine(slice, input, into: message.pointer + MessageHeader.floats)
      }
      try problem.pass.mark(
        .send(to: destination, tag: problem.tag), message.pointer, bytes: 4 * message.count
      ) {
        try outbox.send(message, to: destination, tag: problem.tag, through: group)
      }
      workspace.counters.stateBytesSent += 4 * slice.count * count
      workspace.counters.haloBytesSent += 4 * MessageHeader.floats
    } else if let final {
      workspace.compute(.recurrence) {
        problem.combine(slice, input, into: final.pointer + slice.lowerBound * count)
      }
    }
  }

  /// Checks that a message is the one that was expected, and copies its states.
  private func unpack(_ index: Int, into target: UnsafeMutablePointer<Float>) throws {
    let count = slices[index].count * problem.stateCount
    let message = inbox[index].message
    let expected = MessageHeader(problem, slice: index, count: count)
    let received = MessageHeader(reading: message.pointer)
    guard received == expected else {
      throw OutOfStepError(
        rank: group.rank, source: source ?? -1, expected: expected, received: received)
    }
    target.update(from: message.pointer + MessageHeader.floats, count: count)
  }
}
