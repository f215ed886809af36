import COpenMPI
import Faults
import Glibc
import Synchronization

/// A communicator whose ranks are processes, by Open MPI.
///
/// No call blocks inside MPI after start-up: a wait tests, polls and gives way.
///
/// Unchecked: it is constant, and one thread of a rank calls MPI at a time.
package final class MPICommunicator: Communicator, @unchecked Sendable {
  /// This rank's number in this communicator.
  package let rank: Int
  /// How many ranks the communicator has.
  package let size: Int
  /// This rank's watch.
  package let watch: Watch
  /// The name of the machine that this rank runs on.
  package let hostName = Host.name

  let library: MPILibrary
  let handle: MPI_Comm?
  /// The numbers in the world of this communicator's ranks.
  private let worldRanks: [Int]
  /// The tag of `gather`, above all others.
  private let gatherTag = 1 << 20

  /// The communicator of all ranks that the launcher started.
  ///
  /// - Parameters:
  ///   - library: MPI, started.
  ///   - handle: MPI's communicator of all ranks; nil for the library's.
  ///   - deadline: Seconds that a wait may last.
  init(
    library: MPILibrary, over handle: MPI_Comm? = nil, deadline: Double = Watch.usualDeadline
  ) throws(MessagePassingError) {
    self.library = library
    let handle = handle ?? library.world
    self.handle = handle
    (rank, size) = try library.place(in: handle)
    watch = Watch(worldRank: rank, deadline: deadline)
    worldRanks = Array(0..<size)
  }

  private init(_ handle: MPI_Comm?, from other: MPICommunicator) throws(MessagePassingError) {
    library = other.library
    watch = other.watch
    self.handle = handle
    (rank, size) = try library.place(in: handle)
    worldRanks = try library.worldRanks(of: handle, size: size)
  }

  /// Starts sending `buffer` to `destination`.
  package func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    check(peer: destination, tag: tag)
    return try start(.send(to: destination, tag: tag)) { () throws(MessagePassingError) in
      try sending(buffer, to: destination, tag: tag)
    }
  }

  /// Starts receiving from `source` a message that has exactly the size of `buffer`.
  package func receive(into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    check(peer: source, tag: tag)
    return try start(.receive(from: source, tag: tag)) { () throws(MessagePassingError) in
      try receiving(into: buffer, from: source, tag: tag)
    }
  }

  /// Starts collecting every rank's `mine` into `all` on `root`, in rank order, all of one size.
  package func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    check(root: root)
    precondition(
      rank != root || all?.count == mine.count * size,
      "gather of \(size) × \(mine.count) bytes into \(all?.count ?? 0) bytes")
    return try start(.collective("gather")) { () throws(MessagePassingError) in
      guard rank == root else { return try sending(mine, to: root, tag: gatherTag) }
      var pieces: [MPIOperation.PartialRequest] = []
      for source in 0..<size {
        let place = UnsafeMutableRawBufferPointer(
          rebasing: all![source * mine.count..<(source + 1) * mine.count])
        if source == rank {
          place.copyMemory(from: mine)
        } else {
          pieces += try receiving(into: place, from: source, tag: gatherTag)
        }
      }
      return pieces
    }
  }

  /// Makes a communicator of the ranks that give the same `color`, ordered by `key` and then by rank.
  package func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    precondition(color >= 0, "a colour of \(color)")
    try synchronize(for: "all ranks to split a communicator")
    var part: MPI_Comm?
    try Phase.during("for all ranks in MPI_Comm_split", nil, .meeting) {
      () throws(MessagePassingError) in
      try library.check(MPI_Comm_split(handle, Int32(color), Int32(key), &part), "MPI_Comm_split")
    }
    return try MPICommunicator(part, from: self)
  }

  /// Makes a communicator of the same ranks whose messages never meet those of this one.
  package func duplicate() throws(MessagePassingError) -> any Communicator {
    try synchronize(for: "all ranks to duplicate a communicator")
    var twin: MPI_Comm?
    try Phase.during("for all ranks in MPI_Comm_dup", nil, .meeting) {
      () throws(MessagePassingError) in
      try library.check(MPI_Comm_dup(handle, &twin), "MPI_Comm_dup")
    }
    return try MPICommunicator(twin, from: self)
  }

  /// Makes a communicator of the ranks that share this machine's memory.
  func splitByHost() throws(MessagePassingError) -> any Communicator {
    try synchronize(for: "all ranks to find those of their machine")
    var part: MPI_Comm?
    try Phase.during("for all ranks in MPI_Comm_split_type", nil, .meeting) {
      () throws(MessagePassingError) in
      try library.check(
        MPI_Comm_split_type(
          handle, Int32(MPI_COMM_TYPE_SHARED), Int32(rank), lasp_info_null(), &part),
        "MPI_Comm_split_type")
    }
    return try MPICommunicator(part, from: self)
  }

  /// Prints `rank 3 (host): message` and ends every rank of the job within seconds.
  ///
  /// Where several ranks end the job at the same moment, the first of them prints.
  package func abort(_ message: String, code: Int32) -> Never {
    abort(message, code: code, as: name)
  }

  /// Prints the message after `name`, and ends every rank of the job within seconds.
  func abort(_ message: String, code: Int32, as name: String) -> Never {
    // Its watch is not to take the rest for standing still.
    Phase.enter("the end of the job", nil, .long)
    // Should MPI itself hang, this still ends the process with the code.
    exitCode.store(code, ordering: .relaxed)
    signal(SIGALRM) { _ in _exit(exitCode.load(ordering: .relaxed)) }
    alarm(15)
    if library.isFirstToEnd(patience: watch.worldRank == 0 ? 0.05 : 0.5) {
      LastWords.say("\(name): \(message)")
    } else {
      sleep(10)  // the other rank ends this one
    }
    MPI_Abort(lasp_comm_world(), code)
    _exit(code)
  }

  /// Makes the calls of an operation, unless a mistake was made before, and its request.
  func start(
    _ call: MPIOperation.Call, lists: UnsafeMutableBufferPointer<Int32>? = nil,
    _ calls: () throws(MessagePassingError) -> [MPIOperation.PartialRequest]
  ) throws(MessagePassingError) -> Request {
    if let error = library.mistake { throw error }
    Phase.beat()
    let pieces = try calls()
    return Request(
      MPIOperation(
        call, pieces, library: library, watch: watch, worldRanks: worldRanks, lists: lists))
  }

  /// Bytes of the pieces in which a message of `bytes` goes; both sides work out the same.
  ///
  /// Open MPI hands a short message over at once, but of a long one it first asks the receiver, and then waits
  /// for both sides to call it again: for a state on its way through a chain that is too late.
  private func piece(of bytes: Int) -> Int {
    let most = library.largestPiece
    return bytes <= Self.mostInShortPieces ? min(Self.shortPiece, most) : most
  }

  /// What Open MPI sends at once between processes of a machine, less its header.
  private static let shortPiece = 3968
  private static let mostInShortPieces = 160 << 10

  private func sending(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> [MPIOperation.PartialRequest]
  {
    try inPieces(of: buffer.count, at: piece(of: buffer.count)) {
      (range: Range<Int>, request: inout MPI_Request?) in
      MPI_Isend(
        buffer.baseAddress.map { $0 + range.lowerBound }, Int32(range.count), lasp_byte(),
        Int32(destination), Int32(tag), handle, &request)
    }
  }

  private func receiving(
    into buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int
  ) throws(MessagePassingError) -> [MPIOperation.PartialRequest] {
    try inPieces(of: buffer.count, at: piece(of: buffer.count)) {
      (range: Range<Int>, request: inout MPI_Request?) in
      MPI_Irecv(
        buffer.baseAddress.map { $0 + range.lowerBound }, Int32(range.count), lasp_byte(),
        Int32(source), Int32(tag), handle, &request)
    }
  }

  /// Starts one call for every piece of `count` things, last first, since they are tested from the end.
  func inPieces(
    of count: Int, at most: Int,
    _ call: (Range<Int>, inout MPI_Request?) -> Int32
  ) throws(MessagePassingError) -> [MPIOperation.PartialRequest] {
    var pieces: [MPIOperation.PartialRequest] = []
    var start = 0
    repeat {
      let range = start..<min(start + most, count)
      var request: MPI_Request?
      try library.check(call(range, &request), "MPI call for \(range.count) of \(count)")
      pieces.append(.init(request: request, bytes: range.count))
      start = range.upperBound
    } while start < count
    return pieces.reversed()
  }
}

/// What a signal's handler ends the process with.
private let exitCode = Atomic<Int32>(1)

extension MPILibrary {
  /// The numbers in the world of a communicator's ranks.
  func worldRanks(of handle: MPI_Comm?, size: Int) throws(MessagePassingError) -> [Int] {
    var (mine, all): (MPI_Group?, MPI_Group?)
    try check(MPI_Comm_group(handle, &mine), "MPI_Comm_group")
    try check(MPI_Comm_group(world, &all), "MPI_Comm_group")
    let ranks = (0..<size).map(Int32.init)
    var numbers = [Int32](repeating: 0, count: size)
    try check(
      MPI_Group_translate_ranks(mine, Int32(size), ranks, all, &numbers),
      "MPI_Group_translate_ranks")
    MPI_Group_free(&mine)
    MPI_Group_free(&all)
    return numbers.map(Int.init)
  }

  /// This rank's number in a communicator, and the communicator's size.
  func place(in handle: MPI_Comm?) throws(MessagePassingError) -> (rank: Int, size: Int) {
    var (rank, size): (Int32, Int32) = (0, 0)
    try check(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank")
    try check(MPI_Comm_size(handle, &size), "MPI_Comm_size")
    return (Int(rank), Int(size))
  }
}
