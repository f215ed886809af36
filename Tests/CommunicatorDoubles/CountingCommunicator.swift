import MessagePassing
import Synchronization

/// A communicator that counts what its rank begins, on it and on those split off from it.
package final class CountingCommunicator: Communicator {
  private let inner: any Communicator
  private let tally: Tally

  /// What all communicators of a rank share.
  private final class Tally: Sendable {
    let operations = Atomic<Int>(0)
  }

  package convenience init(_ inner: any Communicator) { self.init(inner, Tally()) }

  private init(_ inner: any Communicator, _ tally: Tally) {
    (self.inner, self.tally) = (inner, tally)
  }

  /// Sends, receives and collectives so far.
  package var operations: Int { tally.operations.load(ordering: .relaxed) }

  package var rank: Int { inner.rank }
  package var size: Int { inner.size }
  package var hostName: String { inner.hostName }
  package var watch: Watch { inner.watch }

  package func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    count()
    return try inner.send(buffer, to: destination, tag: tag)
  }

  package func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    count()
    return try inner.receive(into: buffer, from: source, tag: tag)
  }

  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    count()
    return try inner.allReduce(buffer, operation)
  }

  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    count()
    return try inner.allReduce(buffer, operation)
  }

  package func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    count()
    return try inner.allGather(mine, into: all, counts: counts)
  }

  package func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    count()
    return try inner.reduceScatter(buffer, into: mine, counts: counts)
  }

  package func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    count()
    return try inner.broadcast(buffer, from: root)
  }

  package func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    count()
    return try inner.gather(mine, into: all, to: root)
  }

  package func barrier() throws(MessagePassingError) -> Request {
    count()
    return try inner.barrier()
  }

  package func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    CountingCommunicator(try inner.split(color: color, key: key), tally)
  }

  package func duplicate() throws(MessagePassingError) -> any Communicator {
    CountingCommunicator(try inner.duplicate(), tally)
  }

  package func abort(_ message: String, code: Int32) -> Never {
    inner.abort(message, code: code)
  }

  private func count() { tally.operations.add(1, ordering: .relaxed) }
}
