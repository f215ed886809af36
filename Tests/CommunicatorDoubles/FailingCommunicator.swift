import MessagePassing
import Synchronization

/// A communicator one of whose operations fails when it is tested; those of what is split off count too.
package final class FailingCommunicator: Communicator {
  private let inner: any Communicator
  private let plan: Plan

  private final class Plan: Sendable {
    let failing: Int
    let begun = Atomic<Int>(0)
    init(failing: Int) { self.failing = failing }
  }

  /// - Parameter failing: Which operation fails, counted from 0.
  package convenience init(_ inner: any Communicator, failing: Int) {
    self.init(inner, Plan(failing: failing))
  }

  private init(_ inner: any Communicator, _ plan: Plan) { (self.inner, self.plan) = (inner, plan) }

  private func failing(_ request: consuming Request) -> Request {
    guard plan.begun.add(1, ordering: .relaxed).oldValue == plan.failing else { return request }
    return Request(FailingOperation(consume request, watch: watch))
  }

  package var rank: Int { inner.rank }
  package var size: Int { inner.size }
  package var hostName: String { inner.hostName }
  package var watch: Watch { inner.watch }

  package func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    failing(try inner.send(buffer, to: destination, tag: tag))
  }

  package func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    failing(try inner.receive(into: buffer, from: source, tag: tag))
  }

  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    failing(try inner.allReduce(buffer, operation))
  }

  package func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    failing(try inner.allReduce(buffer, operation))
  }

  package func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    failing(try inner.allGather(mine, into: all, counts: counts))
  }

  package func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    failing(try inner.reduceScatter(buffer, into: mine, counts: counts))
  }

  package func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    failing(try inner.broadcast(buffer, from: root))
  }

  package func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    failing(try inner.gather(mine, into: all, to: root))
  }

  package func barrier() throws(MessagePassingError) -> Request { failing(try inner.barrier()) }

  package func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    FailingCommunicator(try inner.split(color: color, key: key), plan)
  }

  package func duplicate() throws(MessagePassingError) -> any Communicator {
    FailingCommunicator(try inner.duplicate(), plan)
  }

  package func abort(_ message: String, code: Int32) -> Never {
    inner.abort(message, code: code)
  }
}
