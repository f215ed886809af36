import COpenMPI
import Glibc

/// One rank's part in a message or a collective of MPI: one request of MPI's for each piece of it.
///
/// Unchecked: the thread that holds its request is the only one to call it.
final class MPIOperation: PendingOperation, @unchecked Sendable {
  /// What is checked, and given back, when the operation is done.
  enum Call {
    case send(to: Int, tag: Int)
    case receive(from: Int, tag: Int)
    case collective(StaticString)
  }

  let watch: Watch
  /// The numbers in the world of the communicator's ranks.
  private let worldRanks: [Int]
  private let call: Call
  private let library: MPILibrary
  private var pieces: [PartialRequest]
  /// Counts and displacements, which MPI reads until the operation is done.
  private let lists: UnsafeMutableBufferPointer<Int32>?

  /// MPI's request of one of the calls that the operation is made of.
  struct PartialRequest {
    var request: MPI_Request?
    /// What must have been received, if it is a receive.
    var bytes: Int
  }

  init(
    _ call: Call, _ pieces: [PartialRequest], library: MPILibrary, watch: Watch,
    worldRanks: [Int], lists: UnsafeMutableBufferPointer<Int32>? = nil
  ) {
    (self.call, self.pieces, self.library, self.lists) = (call, pieces, library, lists)
    self.watch = watch
    self.worldRanks = worldRanks
  }

  var peers: [Int]? {
    switch call {
    case .send(let other, _), .receive(let other, _): [worldRanks[other]]
    case .collective: worldRanks
    }
  }

  deinit { lists?.deallocate() }

  func test() throws(MessagePassingError) -> Bool {
    if let error = library.mistake { throw error }
    while var piece = pieces.popLast() {
      var status = MPI_Status()
      var isDone: Int32 = 0
      let code = MPI_Test(&piece.request, &isDone, &status)
      if code == MPI_ERR_TRUNCATE { throw mismatch(of: piece, status) }
      try library.check(code, "MPI_Test of \(name)")
      if isDone == 0 {
        pieces.append(piece)
        return false
      }
      if case .receive = call, bytes(status) != piece.bytes { throw mismatch(of: piece, status) }
    }
    return true
  }

  func pause(after elapsed: UInt64) { library.pause(after: elapsed) }

  func cancel() {
    if !watch.isFailing { library.mistake = .requestDropped(request: name) }
    // A receive can be taken back; what else is under way goes on, and its memory with it.
    guard case .receive = call else { return }
    for piece in pieces {
      var request = piece.request
      var isDone: Int32 = 0
      guard MPI_Cancel(&request) == MPI_SUCCESS else { continue }
      for _ in 0..<1000 where isDone == 0 {
        guard MPI_Test(&request, &isDone, nil) == MPI_SUCCESS else { break }
      }
    }
  }

  private var name: String {
    switch call {
    case .send(let rank, let tag): "message of tag \(tag) from this rank to rank \(rank)"
    case .receive(let rank, let tag): "message of tag \(tag) from rank \(rank) to this rank"
    case .collective(let name): "\(name)"
    }
  }

  private func bytes(_ status: MPI_Status) -> Int {
    var (status, count) = (status, Int32(0))
    MPI_Get_count(&status, lasp_byte(), &count)
    return Int(count)
  }

  private func mismatch(of piece: PartialRequest, _ status: MPI_Status) -> MessagePassingError {
    .sizeMismatch(message: name, expected: piece.bytes, received: bytes(status))
  }
}
