import Measurement
import MessagePassing
import Tensors

/// The weights of a unit on their way: every rank sends its part to all others.
final class WeightGather {
  /// Where the unit's weights arrive.
  let target: UnsafeMutablePointer<Float>
  private let unit: Int
  private let counters: Counters
  /// Bytes that arrive.
  private let bytes: Int
  /// What the pointers lie in: held until all weights are here, and until this rank's have left.
  private var targetMemory: Buffer?
  private var ownMemory: Buffer?
  private var sends: [HeldRequest] = []
  private var receives: [HeldRequest] = []

  /// Begins; all ranks do so for the same units in the same order.
  ///
  /// - Parameters:
  ///   - unit: The unit's number.
  ///   - own: This rank's part, which may lie in its place in `target`; it stays as it is until all is sent.
  ///   - ownMemory: What that part lies in.
  ///   - target: Room for the unit.
  ///   - targetMemory: What that room lies in.
  ///   - parts: Every rank's part, counted from the unit's first number.
  init(
    _ unit: Int, _ own: UnsafePointer<Float>, of ownMemory: Buffer,
    into target: UnsafeMutablePointer<Float>, of targetMemory: Buffer, parts: [Range<Int>],
    group: any Communicator, workspace: Workspace
  ) throws {
    self.target = target
    (self.ownMemory, self.targetMemory) = (ownMemory, targetMemory)
    self.unit = unit
    counters = workspace.counters
    let mine = parts[group.rank]
    bytes = 4 * (parts.reduce(0) { $0 + $1.count } - mine.count)
    for (rank, part) in parts.enumerated() where rank != group.rank && !part.isEmpty {
      let place = UnsafeMutableRawBufferPointer(
        start: target + part.lowerBound, count: 4 * part.count)
      receives.append(HeldRequest(try group.receive(into: place, from: rank, tag: 0)))
    }
    guard !mine.isEmpty else { return }
    try mark("send", bytes: 4 * mine.count * (group.size - 1)) {
      for rank in 0..<group.size where rank != group.rank {
        let bytes = UnsafeRawBufferPointer(start: own, count: 4 * mine.count)
        sends.append(HeldRequest(try group.send(bytes, to: rank, tag: 0)))
        counters.weightBytesSent += bytes.count
      }
    }
    let place = target + mine.lowerBound
    if place != own {
      workspace.compute(.other) { place.update(from: own, count: mine.count) }
    }
  }

  /// Whether all weights are here.
  func hasArrived() throws -> Bool {
    while let last = receives.last {
      guard try last.test() else { return false }
      receives.removeLast()
      if receives.isEmpty { mark("receive", bytes: bytes) {} }
    }
    targetMemory = nil
    return true
  }

  /// Whether this rank's part has reached all others.
  func hasLeft() throws -> Bool {
    while let last = sends.last {
      guard try last.test() else { return false }
      sends.removeLast()
    }
    ownMemory = nil
    return true
  }

  /// Waits until all weights are here.
  func waitForArrival(polling: () throws -> Void) throws {
    for request in receives { try request.wait(for: "weights of other ranks", polling: polling) }
    _ = try hasArrived()
  }

  /// Runs `body` as a span of the trace, if there is one, that sends or takes weights.
  private func mark(_ name: String, bytes: Int, _ body: () throws -> Void) rethrows {
    try counters.mark(
      name, Trace.Message(.weights(unit: unit), direction: nil, bytes: bytes), body)
  }

  /// Waits until this rank's part has reached all others.
  func waitForDeparture(polling: () throws -> Void) throws {
    for request in sends { try request.wait(for: "the departure of weights", polling: polling) }
    sends = []
    ownMemory = nil
  }
}
