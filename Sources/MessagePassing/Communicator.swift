/// A group of ranks that exchange messages.
///
/// Nothing here blocks: an operation starts, returns a `Request`, and is finished by it. The buffer of an
/// operation must stay alive and untouched until its request is finished. Collectives are called by every
/// rank of the communicator, in the same order. One thread of a rank calls at a time.
package protocol Communicator: AnyObject, Sendable {
  /// This rank's number in this communicator, in `0..<size`.
  var rank: Int { get }
  /// How many ranks the communicator has.
  var size: Int { get }
  /// The name of the machine that this rank runs on.
  var hostName: String { get }
  /// This rank's watch: what it waits for, for how long, and until when. All communicators of a rank
  /// share it.
  var watch: Watch { get }
  /// Whether what other ranks send ever comes; not in a rehearsal, where nobody else is.
  var delivers: Bool { get }

  /// Starts sending `buffer` to `destination`.
  ///
  /// - Parameter tag: At least 0 and below 2²⁰; a receive takes the messages of a source and tag in the
  ///   order in which they were sent.
  func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request

  /// Starts receiving from `source` a message that has exactly the size of `buffer`.
  func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request

  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  func allReduce(_ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation)
    throws(MessagePassingError) -> Request

  /// Starts replacing `buffer` by its elementwise reduction over all ranks.
  func allReduce(_ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation)
    throws(MessagePassingError) -> Request

  /// Starts collecting every rank's `mine` into `all`, in rank order.
  ///
  /// - Parameter counts: Bytes of each rank; rank r's lie behind those of the ranks before it. `mine` may be
  ///   this rank's own place in `all`, else they must not overlap.
  func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request

  /// Starts summing `buffer` over all ranks, and gives rank r the r-th part of the sum.
  ///
  /// - Parameters:
  ///   - mine: Where this rank's part goes; must not overlap `buffer`.
  ///   - counts: Elements of each rank's part; together they are `buffer.count`.
  func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request

  /// Starts replacing `buffer` on every rank by that of `root`.
  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request

  /// Starts collecting every rank's `mine` into `all` on `root`, in rank order, all of one size.
  ///
  /// - Parameter all: `size × mine.count` bytes on `root`; elsewhere it is not used and may be `nil`.
  func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request

  /// Starts a barrier: its request is finished once every rank has come to it.
  func barrier() throws(MessagePassingError) -> Request

  /// Makes a communicator of the ranks that give the same `color`, ordered by `key` and then by rank.
  ///
  /// Collective, and waits for all ranks: for start-up. Communicators live until the process ends.
  func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator

  /// Makes a communicator of the ranks that have this one's colour, in their order, where every rank knows the colours of all.
  ///
  /// Collective, and waits for all ranks: for start-up.
  func split(coloring: (Int) -> Int) throws(MessagePassingError) -> any Communicator

  /// Makes a communicator of the same ranks whose messages never meet those of this one.
  ///
  /// Collective, and waits for all ranks: for start-up.
  func duplicate() throws(MessagePassingError) -> any Communicator

  /// Prints `rank 3 (host): message` and ends every rank of the job within seconds.
  ///
  /// - Parameter code: The exit code, in 1…255.
  func abort(_ message: String, code: Int32) -> Never
}

/// How a reduction combines the ranks' elements.
package enum ReduceOperation: Sendable {
  /// Their sum.
  case sum
  /// The least of them.
  case minimum
  /// The greatest of them.
  case maximum
}

extension Communicator {
  /// Messages come.
  package var delivers: Bool { true }

  /// As each rank's own colour says.
  package func split(coloring: (Int) -> Int) throws(MessagePassingError) -> any Communicator {
    try split(color: coloring(rank), key: rank)
  }

  /// Starts collecting every rank's `mine` into `all`, in rank order, all of one size.
  package func allGather(_ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer)
    throws(MessagePassingError) -> Request
  {
    try allGather(mine, into: all, counts: Array(repeating: mine.count, count: size))
  }

  /// This rank as messages name it, such as `rank 3 (node7)`.
  package var name: String { "rank \(watch.worldRank) (\(hostName))" }

  func check(peer: Int, tag: Int) {
    precondition((0..<size).contains(peer), "rank \(peer) of a communicator of \(size) ranks")
    precondition((0..<1 << 20).contains(tag), "tag \(tag) is not in 0..<\(1 << 20)")
  }

  func check(root: Int) {
    precondition((0..<size).contains(root), "root \(root) of a communicator of \(size) ranks")
  }

  func check(gathering mine: Int, into all: Int, counts: [Int]) {
    precondition(counts.count == size, "\(counts.count) counts for \(size) ranks")
    precondition(
      mine == counts[rank], "rank \(rank) gives \(mine) bytes, its count is \(counts[rank])")
    let total = counts.reduce(0, +)
    precondition(all == total, "a buffer of \(all) bytes for counts that sum to \(total)")
  }

  func check(scattering all: Int, into mine: Int, counts: [Int]) {
    precondition(counts.count == size, "\(counts.count) counts for \(size) ranks")
    precondition(mine == counts[rank], "rank \(rank) takes \(mine), its count is \(counts[rank])")
    let total = counts.reduce(0, +)
    precondition(all == total, "a buffer of \(all) elements for counts that sum to \(total)")
  }
}
