import Faults
import Glibc
import Measurement

/// How messages between virtual ranks cross from process to process.
///
/// A message is an envelope, which says from whom it is and for whom, and then its bytes, under a tag that the
/// envelope names. Envelopes between two processes keep their order, and so do messages. The bytes are
/// received only when the rank that wants them has said where they go, and straight to that place.
///
/// All calls on the processes' communicator are made under one lock, by whichever thread waits or polls.
///
/// Unchecked: all that changes is guarded by the mutex.
final class ProcessBridge: @unchecked Sendable {
  private struct Envelope: BitwiseCopyable {
    var context, source, destination, tag, bytes, payloadTag: Int
    /// No message, and none after it.
    static let closing = Envelope(
      context: -1, source: 0, destination: 0, tag: 0, bytes: 0, payloadTag: 0)
  }

  /// Where the envelopes of one other process come in.
  private final class Listener {
    let process: Int
    let memory = UnsafeMutablePointer<Envelope>.allocate(capacity: 1)
    var request: Request?

    init(process: Int) { self.process = process }
    deinit { memory.deallocate() }

    var bytes: UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: memory, count: 1))
    }

    func hasReceived() throws(MessagePassingError) -> Bool {
      guard request != nil, try request!.test() else { return false }
      request = nil
      return true
    }
  }

  /// Something that is on its way between processes.
  private final class Transfer {
    /// The rank's operation that ends with it; none for what a rank has given up, and for a closing.
    var operation: ThreadOperation?
    var request: Request?
    /// Memory that belongs to the transfer, freed at its end.
    var memory: UnsafeMutableRawBufferPointer?
    /// How the transfer ends.
    var error: MessagePassingError?

    init(_ request: consuming Request, of operation: ThreadOperation? = nil) {
      self.request = consume request
      self.operation = operation
    }

    deinit { memory?.deallocate() }

    func isDone() throws(MessagePassingError) -> Bool {
      guard request != nil else { return true }
      guard try request!.test() else { return false }
      request = nil
      return true
    }
  }

  private let process: any Communicator
  private unowned let world: ThreadWorld
  private let hosted: Range<Int>
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var listeners: [Listener] = []
  private var transfers: [Transfer] = []
  private var payloads = 0
  /// Why nothing crosses any more.
  private var failure: MessagePassingError?

  private static let envelopeTag = 0
  /// Tags of bytes, which are used again and again.
  private static let payloadTags = 1..<1 << 19

  /// Opens the bridge; collective among the processes.
  ///
  /// - Parameters:
  ///   - process: The processes, on a communicator that nothing else uses.
  ///   - hosted: The virtual ranks of this process.
  init(_ process: any Communicator, hosted: Range<Int>, world: ThreadWorld)
    throws(MessagePassingError)
  {
    (self.process, self.hosted, self.world) = (process, hosted, world)
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
    for other in 0..<process.size where other != process.rank {
      let listener = Listener(process: other)
      try listen(listener)
      listeners.append(listener)
    }
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// The number of this process.
  var processRank: Int { process.rank }
  /// Virtual ranks of each process.
  var hostedCount: Int { hosted.count }

  /// Whether a virtual rank is a thread of this process.
  func hosts(_ rank: Int) -> Bool { hosted.contains(rank) }

  /// Sends a message to a virtual rank of another process.
  func send(_ operation: ThreadOperation, at channel: ThreadWorld.Channel, to rank: Int)
    throws(MessagePassingError)
  {
    lock()
    defer { unlock() }
    try world.markSending(operation, at: channel)
    let (target, bytes) = (rank / hosted.count, operation.input)
    payloads = (payloads + 1) % Self.payloadTags.count
    let payloadTag = Self.payloadTags.lowerBound + payloads
    try send(
      Envelope(
        context: channel.context, source: channel.source, destination: channel.destination,
        tag: channel.tag, bytes: bytes.count, payloadTag: payloadTag),
      to: target, ending: bytes.isEmpty ? operation : nil)
    guard !bytes.isEmpty else { return }
    transfers.append(
      Transfer(try process.send(bytes, to: target, tag: payloadTag), of: operation))
  }

  /// Moves everything on, unless another thread does so at this moment.
  func progress() throws(MessagePassingError) {
    guard pthread_mutex_trylock(mutex) == 0 else { return }
    defer { unlock() }
    if let failure { throw failure }
    do throws(MessagePassingError) {
      try advance()
    } catch {
      failure = error
      world.fail(rank: hosted.lowerBound, reason: "\(error)")
      throw error
    }
  }

  /// Lets go of an operation that its rank gives up.
  func withdraw(_ operation: ThreadOperation) {
    lock()
    defer { unlock() }
    guard let index = transfers.firstIndex(where: { $0.operation === operation }) else { return }
    transfers[index].operation = nil
    guard operation.call == .receive else { return }
    // Its memory may be gone.
    if operation.watch.isFailing { process.watch.isFailing = true }
    transfers.remove(at: index)
    world.markWaiting(operation)
  }

  /// Waits until everything has arrived everywhere, and closes the bridge; collective.
  func close() throws(MessagePassingError) {
    lock()
    defer { unlock() }
    for other in 0..<process.size where other != process.rank {
      try send(.closing, to: other, ending: nil)
    }
    let start = Clock.seconds
    while true {
      try advance()
      if transfers.isEmpty, listeners.isEmpty { return }
      let seconds = Clock.seconds - start
      if seconds > process.watch.deadline {
        throw .deadline(purpose: "all processes to end", seconds: seconds)
      }
      usleep(100)
    }
  }

  /// Gives everything up after a failure.
  func abandon() {
    lock()
    defer { unlock() }
    process.watch.isFailing = true
    (listeners, transfers) = ([], [])
  }

  /// Prints `rank 3 (host, process 1): message` and ends every rank of the job within seconds.
  func abort(_ message: String, code: Int32, rank: Int) -> Never {
    // Never given back: this thread ends all others.
    lock()
    let name = "rank \(rank) (\(process.hostName), process \(process.rank))"
    if let process = process as? MPICommunicator {
      process.abort(message, code: code, as: name)
    }
    LastWords.say("\(name): \(message)")
    _exit(code)
  }

  private func advance() throws(MessagePassingError) {
    for listener in listeners {
      while try listener.hasReceived() {
        let envelope = listener.memory.pointee
        if envelope.context == Envelope.closing.context { break }
        try listen(listener)
        try receive(envelope, from: listener.process)
      }
    }
    listeners.removeAll { $0.request == nil }
    // None is ended twice, even where a later one fails.
    for index in transfers.indices.reversed() where try transfers[index].isDone() {
      end(transfers.remove(at: index))
    }
  }

  private func listen(_ listener: Listener) throws(MessagePassingError) {
    listener.request = try process.receive(
      into: listener.bytes, from: listener.process, tag: Self.envelopeTag)
  }

  private func send(_ envelope: Envelope, to target: Int, ending operation: ThreadOperation?)
    throws(MessagePassingError)
  {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: MemoryLayout<Envelope>.size, alignment: MemoryLayout<Envelope>.alignment)
    memory.storeBytes(of: envelope, as: Envelope.self)
    let transfer = Transfer(
      try process.send(UnsafeRawBufferPointer(memory), to: target, tag: Self.envelopeTag),
      of: operation)
    transfer.memory = memory
    transfers.append(transfer)
  }

  /// Lets a message that is announced meet the rank that wants it.
  private func receive(_ envelope: Envelope, from source: Int) throws(MessagePassingError) {
    let message = ThreadOperation(.send, in: world, watch: process.watch, rank: -1)
    message.arrival = { target in self.fetch(envelope, from: source, into: target) }
    try world.post(
      message,
      at: .init(
        context: envelope.context, source: envelope.source, destination: envelope.destination,
        tag: envelope.tag))
  }

  /// Starts receiving the bytes of a message to where its rank wants them.
  private func fetch(_ envelope: Envelope, from source: Int, into target: ThreadOperation) {
    lock()
    defer { unlock() }
    var error: MessagePassingError?
    if target.output.count != envelope.bytes {
      error = .sizeMismatch(
        message: target.description, expected: target.output.count, received: envelope.bytes)
    }
    guard envelope.bytes > 0 else { return world.finish([target], error) }
    var memory: UnsafeMutableRawBufferPointer?
    if target.fold != nil || error != nil {
      memory = .allocate(byteCount: envelope.bytes, alignment: 64)
    }
    do throws(MessagePassingError) {
      let transfer = Transfer(
        try process.receive(
          into: memory ?? target.output, from: source, tag: envelope.payloadTag),
        of: target)
      (transfer.memory, transfer.error) = (memory, error)
      transfers.append(transfer)
      world.markInTransit(target)
    } catch {
      memory?.deallocate()
      world.finish([target], error)
    }
  }

  private func end(_ transfer: Transfer) {
    guard let operation = transfer.operation else { return }
    if let fold = operation.fold, transfer.error == nil, let memory = transfer.memory {
      fold.combine(UnsafeRawBufferPointer(memory), into: operation.output)
    }
    world.finish([operation], transfer.error)
  }

  private func lock() { pthread_mutex_lock(mutex) }
  private func unlock() { pthread_mutex_unlock(mutex) }
}
