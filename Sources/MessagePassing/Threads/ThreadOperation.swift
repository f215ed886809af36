/// One rank's part in a message or a collective between rank threads.
///
/// Unchecked: its state is guarded by the world's mutex; the rest is set before the operation is posted, or while one thread works.
final class ThreadOperation: PendingOperation, CustomStringConvertible, @unchecked Sendable {
  enum State: Equatable {
    /// Not all ranks it takes have come.
    case waiting
    /// Data is being moved; nobody may let go of a buffer now.
    case working
    /// It is on its way from or to another process.
    case inTransit
    case done
    case failed(MessagePassingError)

    static func == (a: State, b: State) -> Bool {
      switch (a, b) {
      case (.waiting, .waiting), (.working, .working), (.inTransit, .inTransit), (.done, .done),
        (.failed, .failed):
        true
      default: false
      }
    }
  }

  enum Place {
    case message(ThreadWorld.Channel)
    case collective(ThreadWorld.CollectiveKey)
  }

  let world: ThreadWorld
  let watch: Watch
  /// The rank within the communicator.
  let rank: Int
  let call: ThreadCall
  let input: UnsafeRawBufferPointer
  let output: UnsafeMutableRawBufferPointer
  /// What a split asks for.
  var (color, key) = (0, 0)
  /// How what is received is combined with the output; it replaces the output where there is none.
  var fold: Fold?
  /// For a message of another process: brings its bytes to the receive that it met.
  var arrival: ((ThreadOperation) -> Void)?
  /// What a split gives: the new communicator's context, and its ranks as ranks of the old one.
  var (context, members) = (0, [Int]())

  // Guarded by the world's mutex.
  var state = State.waiting
  var place: Place?
  var seen = 0

  init(
    _ call: ThreadCall, in world: ThreadWorld, watch: Watch, rank: Int,
    input: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  ) {
    (self.call, self.world, self.watch, self.rank) = (call, world, watch, rank)
    (self.input, self.output) = (input, output)
  }

  convenience init(
    _ call: ThreadCall, on communicator: ThreadCommunicator,
    input: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  ) {
    self.init(
      call, in: communicator.world, watch: communicator.watch, rank: communicator.rank,
      input: input, output: output)
  }

  func test() throws(MessagePassingError) -> Bool {
    try world.bridge?.progress()
    return try world.isDone(self)
  }

  func pause(after elapsed: UInt64) { world.sleep(watch.worldRank, seen: seen, after: elapsed) }

  func cancel() {
    world.bridge?.withdraw(self)
    world.cancel(self)
  }

  var description: String {
    guard case .message(let channel)? = place else { return "\(call)" }
    let collective = channel.tag >> TreeCollective.tagBits
    let what = collective > 0 ? "collective \(collective)" : "message of tag \(channel.tag)"
    return "\(what) from rank \(channel.source) to \(channel.destination)"
  }
}
