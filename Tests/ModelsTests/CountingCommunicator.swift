import MessagePassing

/// A communicator that counts what its rank begins.
final class CountingCommunicator: Communicator, @unchecked Sendable {
  /// Sends, receives and collectives so far.
  private(set) var operations = 0
  private let inner: any Communicator

  init(_ inner: any Communicator) { self.inner = inner }

  var rank: Int { inner.rank }
  var size: Int { inner.size }
  var hostName: String { inner.hostName }
  var watch: Watch { inner.watch }

  func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    operations += 1
    return try inner.send(buffer, to: destination, tag: tag)
  }

  func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    operations += 1
    return try inner.receive(into: buffer, from: source, tag: tag)
  }

  func allReduce(_ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation)
    throws(MessagePassingError) -> Request
  {
    operations += 1
    return try inner.allReduce(buffer, operation)
  }

  func allReduce(_ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation)
    throws(MessagePassingError) -> Request
  {
    operations += 1
    return try inner.allReduce(buffer, operation)
  }

  func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    operations += 1
    return try inner.allGather(mine, into: all, counts: counts)
  }

  func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    operations += 1
    return try inner.reduceScatter(buffer, into: mine, counts: counts)
  }

  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    operations += 1
    return try inner.broadcast(buffer, from: root)
  }

  func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    operations += 1
    return try inner.gather(mine, into: all, to: root)
  }

  func barrier() throws(MessagePassingError) -> Request {
    operations += 1
    return try inner.barrier()
  }

  func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    try inner.split(color: color, key: key)
  }

  func duplicate() throws(MessagePassingError) -> any Communicator { try inner.duplicate() }

  func abort(_ message: String, code: Int32) -> Never { inner.abort(message, code: code) }
}
