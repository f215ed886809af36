import MessagePassing

/// Whether any rank asks to stop within a step, which all learn at the same micro-batch.
///
/// A vote that begins behind one micro-batch ends behind the next: so nobody waits for it.
final class StopVote {
  private let number: UnsafeMutableBufferPointer<Double>
  private let request: HeldRequest

  /// Begins a vote; collective.
  init(_ isAsking: Bool, world: any Communicator) throws {
    number = .allocate(capacity: 1)
    number.initialize(repeating: isAsking ? 1 : 0)
    request = HeldRequest(try world.allReduce(number, .sum))
  }

  /// Waits for all; whether any rank asks.
  func isPassed() throws -> Bool {
    try request.wait(for: "all ranks to say whether they go on")
    // Where it fails the memory stays, since MPI may still write to it.
    defer { number.deallocate() }
    return number[0] > 0
  }
}

/// A step was given up behind one of its micro-batches, on all ranks: nothing has changed.
struct StepAbandoned: Error {}
