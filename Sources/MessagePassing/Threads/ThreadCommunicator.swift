import Faults
import Glibc

/// A communicator whose ranks are threads of one process.
///
/// Ranks wait on condition variables. Collectives combine in rank order, 0 … P − 1, so they are bitwise
/// repeatable. A send is finished only when it was received, which is stricter than MPI: what works
/// here does not rely on MPI's buffers. When one rank fails, all others throw.
///
/// Unchecked: the world has a mutex; the number of collectives is the rank's own thread's alone.
package class ThreadCommunicator: Communicator, @unchecked Sendable {
  /// This rank's number in this communicator.
  package let rank: Int
  /// How many ranks the communicator has.
  package let size: Int
  /// This rank's watch.
  package let watch: Watch
  /// The name of this machine.
  package var hostName: String { Host.name }

  let world: ThreadWorld
  let context: Int
  private var collectives = 0

  init(world: ThreadWorld, context: Int, rank: Int, size: Int, watch: Watch) {
    (self.world, self.context, self.rank, self.size) = (world, context, rank, size)
    self.watch = watch
  }

  /// Starts sending `buffer` to `destination`.
  package func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    check(peer: destination, tag: tag)
    let operation = ThreadOperation(.send, on: self, input: buffer)
    try world.post(
      operation,
      at: .init(context: context, source: rank, destination: destination, tag: tag))
    return Request(operation)
  }

  /// Starts receiving from `source` a message that has exactly the size of `buffer`.
  package func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    check(peer: source, tag: tag)
    let operation = ThreadOperation(.receive, on: self, output: buffer)
    try world.post(
      operation, at: .init(context: context, source: source, destination: rank, tag: tag))
    return Request(operation)
  }

  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    let bytes = UnsafeMutableRawBufferPointer(buffer)
    return try join(.allReduceFloat(operation, elements: buffer.count), output: bytes)
  }

  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    let bytes = UnsafeMutableRawBufferPointer(buffer)
    return try join(.allReduceDouble(operation, elements: buffer.count), output: bytes)
  }

  /// Starts collecting every rank's `mine` into `all`, in rank order.
  package func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(gathering: mine.count, into: all.count, counts: counts)
    return try join(.allGather(bytes: counts), input: mine, output: all)
  }

  /// Starts summing `buffer` over all ranks, and gives rank r the r-th part of the sum.
  package func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(scattering: buffer.count, into: mine.count, counts: counts)
    return try join(
      .reduceScatter(elements: counts), input: UnsafeRawBufferPointer(buffer),
      output: UnsafeMutableRawBufferPointer(mine))
  }

  /// Starts replacing `buffer` on every rank by that of `root`.
  package func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    check(root: root)
    return try join(.broadcast(bytes: buffer.count, root: root), output: buffer)
  }

  /// Starts collecting every rank's `mine` into `all` on `root`, in rank order, all of one size.
  package func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    check(root: root)
    let target = rank == root ? all : nil
    if rank == root { precondition(target?.count == mine.count * size, "gather needs all of it") }
    return try join(
      .gather(bytes: mine.count, root: root), input: mine,
      output: target ?? UnsafeMutableRawBufferPointer(start: nil, count: 0))
  }

  /// Starts a barrier.
  package func barrier() throws(MessagePassingError) -> Request { try join(.barrier) }

  /// Makes a communicator of the ranks that give the same `color`, ordered by `key` and then by rank.
  package func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    precondition(color >= 0, "a colour of \(color)")
    let operation = ThreadOperation(.split, on: self)
    (operation.color, operation.key) = (color, key)
    try join(operation).wait(for: "all ranks to split a communicator")
    return ThreadCommunicator(
      world: world, context: operation.context, rank: operation.members.firstIndex(of: rank)!,
      size: operation.members.count, watch: watch)
  }

  /// Makes a communicator of the same ranks whose messages never meet those of this one.
  package func duplicate() throws(MessagePassingError) -> any Communicator {
    try split(color: 0, key: rank)
  }

  /// Prints `rank 3 (host): message` and ends the process.
  package func abort(_ message: String, code: Int32) -> Never {
    world.halt()  // one rank speaks
    LastWords.say("\(name): \(message)")
    _exit(code)
  }

  private func join(
    _ call: ThreadCall,
    input: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  ) throws(MessagePassingError) -> Request {
    try join(ThreadOperation(call, on: self, input: input, output: output))
  }

  private func join(_ operation: ThreadOperation) throws(MessagePassingError) -> Request {
    collectives += 1
    try world.join(operation, at: .init(context: context, number: collectives), ranks: size)
    return Request(operation)
  }
}
