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

  /// Rehearses one rank of a world.
  public init(rank: Int, size: Int) {
    precondition((0..<size).contains(rank), "rank \(rank) of \(size)")
    (self.rank, self.size) = (rank, size)
    watch = Watch(worldRank: rank)
  }

  /// The same rank as one of a smaller communicator.
  ///
  /// - Parameters:
  ///   - color: Not used: only this rank's own group exists.
  ///   - key: Not used.
  public func split(color: Int, key: Int) -> any Communicator { duplicate() }

  /// The same rank once more.
  public func duplicate() -> any Communicator { RehearsalCommunicator(rank: rank, size: size) }

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
