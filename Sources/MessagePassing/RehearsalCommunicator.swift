import Glibc

/// A rank of any world, alone: every operation is finished at once and moves nothing.
///
/// It is what a dry run rehearses a step with, to count messages and memory; buffers are never touched.
public final class RehearsalCommunicator: Communicator {
  /// The rank that is rehearsed.
  public let rank: Int
  /// The ranks of its world.
  public let size: Int
  /// This machine.
  public var hostName: String { Host.name }
  /// The rank's watch.
  public let watch: Watch

  private let color: @Sendable (Int) -> Int

  /// Rehearses one rank of a world.
  ///
  /// - Parameter color: What each rank gives when the world is split: a rehearsed rank cannot ask the others.
  public init(rank: Int, size: Int, color: @escaping @Sendable (Int) -> Int = { _ in 0 }) {
    precondition((0..<size).contains(rank), "rank \(rank) of \(size)")
    (self.rank, self.size, self.color) = (rank, size, color)
    watch = Watch(worldRank: rank)
  }

  /// The same rank among those of its color, in their order.
  ///
  /// - Parameter key: Not used.
  public func split(color: Int, key: Int) -> any Communicator {
    let members = (0..<size).filter { self.color($0) == self.color(rank) }
    return RehearsalCommunicator(rank: members.firstIndex(of: rank)!, size: members.count)
  }

  /// The same rank once more.
  public func duplicate() -> any Communicator {
    RehearsalCommunicator(rank: rank, size: size, color: color)
  }

  /// Finished at once.
  public func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int) -> Request {
    Request()
  }

  /// Finished at once; the buffer stays as it is.
  public func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    -> Request
  {
    Request()
  }

  /// Finished at once.
  public func allReduce(_ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation)
    -> Request
  {
    Request()
  }

  /// Finished at once.
  public func allReduce(_ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation)
    -> Request
  {
    Request()
  }

  /// Finished at once.
  public func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) -> Request {
    Request()
  }

  /// Finished at once.
  public func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) -> Request {
    Request()
  }

  /// Finished at once.
  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) -> Request {
    Request()
  }

  /// Finished at once.
  public func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) -> Request {
    Request()
  }

  /// Finished at once.
  public func barrier() -> Request { Request() }

  /// Prints the message and ends the process.
  public func abort(_ message: String, code: Int32) -> Never {
    printFailure(message)
    exit(code)
  }
}
