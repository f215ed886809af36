import Faults
import Glibc
import Synchronization

/// A rank of any world, alone: every operation is finished at once and moves nothing.
///
/// It is what a dry run rehearses a step with, to count messages and memory; buffers are never touched.
package final class RehearsalCommunicator: Communicator {
  /// The rank that is rehearsed.
  package let rank: Int
  /// The ranks of its world.
  package let size: Int
  /// This machine.
  package var hostName: String { Host.name }
  /// The rank's watch.
  package let watch: Watch
  /// Nothing comes.
  package var delivers: Bool { false }

  /// What is counted over all communicators of the rank.
  private final class Traffic: Sendable {
    let bytes = Atomic<Int>(0)
  }

  /// The process of each rank.
  private let processes: [Int]
  private let traffic: Traffic

  /// Rehearses one rank of a world.
  ///
  /// - Parameters:
  ///   - each: Ranks that a process hosts; more than one where they are virtual.
  package convenience init(rank: Int, size: Int, hosting each: Int = 1) {
    self.init(rank: rank, processes: (0..<size).map { $0 / each }, traffic: Traffic())
  }

  private init(rank: Int, processes: [Int], traffic: Traffic) {
    precondition(processes.indices.contains(rank), "rank \(rank) of \(processes.count)")
    (self.rank, size) = (rank, processes.count)
    (self.processes, self.traffic) = (processes, traffic)
    watch = Watch(worldRank: rank)
  }

  /// Bytes that the rank has sent to ranks of other processes, collectives included as they are where ranks
  /// are virtual.
  package var bytesToOtherProcesses: Int { traffic.bytes.load(ordering: .relaxed) }

  private func count(_ bytes: Int, to rank: Int) -> Request {
    if processes[rank] != processes[self.rank] { traffic.bytes.add(bytes, ordering: .relaxed) }
    return Request()
  }

  private func count(_ bytes: Int, owner: Int, reducing: Bool, spreading: Bool) {
    let tree = TreePlace(of: rank, among: size, owner: owner)
    if reducing, let above = tree.above { _ = count(bytes, to: above) }
    if spreading { for below in tree.below { _ = count(bytes, to: below) } }
  }

  /// A rehearsed rank cannot ask the others for their colours.
  package func split(color: Int, key: Int) -> any Communicator {
    preconditionFailure("a rehearsed rank cannot know the colours of others")
  }

  /// The same rank among those of its colour, in their order.
  package func split(coloring: (Int) -> Int) -> any Communicator {
    let members = (0..<size).filter { coloring($0) == coloring(rank) }
    return RehearsalCommunicator(
      rank: members.firstIndex(of: rank)!, processes: members.map { processes[$0] },
      traffic: traffic)
  }

  /// The same rank once more.
  package func duplicate() -> any Communicator {
    RehearsalCommunicator(rank: rank, processes: processes, traffic: traffic)
  }

  /// Finished at once.
  package func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int) -> Request {
    count(buffer.count, to: destination)
  }

  /// Finished at once; the buffer stays as it is.
  package func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    -> Request
  {
    Request()
  }

  /// Finished at once.
  package func allReduce(_ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation)
    -> Request
  {
    count(4 * buffer.count, owner: 0, reducing: true, spreading: true)
    return Request()
  }

  /// Finished at once.
  package func allReduce(_ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation)
    -> Request
  {
    count(8 * buffer.count, owner: 0, reducing: true, spreading: true)
    return Request()
  }

  /// Finished at once.
  package func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) -> Request {
    for (owner, bytes) in counts.enumerated() {
      count(bytes, owner: owner, reducing: false, spreading: true)
    }
    return Request()
  }

  /// Finished at once.
  package func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) -> Request {
    for (owner, elements) in counts.enumerated() {
      count(4 * elements, owner: owner, reducing: true, spreading: false)
    }
    return Request()
  }

  /// Finished at once.
  package func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) -> Request {
    count(buffer.count, owner: root, reducing: false, spreading: true)
    return Request()
  }

  /// Finished at once.
  package func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) -> Request {
    count(mine.count, to: root)
  }

  /// Finished at once.
  package func barrier() -> Request { Request() }

  /// Prints the message and ends the process.
  package func abort(_ message: String, code: Int32) -> Never {
    LastWords.say(message)
    exit(code)
  }
}
