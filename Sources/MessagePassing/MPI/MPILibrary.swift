import COpenMPI
import Faults
import Glibc
import Measurement
import Synchronization

/// Open MPI in this process: how it starts and ends, how it reports errors, and how a wait gives way.
///
/// Unchecked: what is set after the start is atomic or guarded by a mutex.
final class MPILibrary: @unchecked Sendable {
  /// The most bytes of one call to MPI, whose counts are 32-bit: longer ones are sent in pieces.
  let largestPiece: Int
  /// A communicator of all ranks, those of a host consecutive; nothing is sent on MPI's own.
  private(set) var world: MPI_Comm?
  /// The number that the launcher gave to this rank.
  private(set) var launchRank = 0
  /// A communicator of all ranks on which they speak about the end, and nothing else.
  private(set) var ending: MPI_Comm?
  /// Whether this machine has fewer cores than ranks, so that a waiting rank takes time from others.
  private let isCrowded = Atomic<Bool>(false)
  private let dropped = Mutex<MessagePassingError?>(nil)

  /// Starts MPI, unless it has been started.
  ///
  /// - Parameters:
  ///   - largestPiece: The most bytes of one call.
  ///   - deadline: Seconds that a rank waits for the others at the end.
  init(largestPiece: Int = 1 << 30, deadline: Double = Watch.usualDeadline)
    throws(MessagePassingError)
  {
    self.largestPiece = largestPiece
    var isInitialized: Int32 = 0
    MPI_Initialized(&isInitialized)
    try Phase.during("for all ranks in MPI_Init", nil, .meeting) { () throws(MessagePassingError) in
      if isInitialized == 0 { try start() }
      try numberByHost()
      try check(MPI_Comm_dup(world, &ending), "MPI_Comm_dup")
    }
    if isInitialized == 0 { try finalizeAtExit(deadline: deadline) }
  }

  private func start() throws(MessagePassingError) {
    // Without this a waiting rank spins where the computing ones need the core.
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0)
    // Where a container forbids it, Open MPI would copy from other ranks' memory in vain.
    if lasp_may_read_memory() == 0 {
      setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0)
    }
    // Without a launcher of its own kind, Open MPI would look for its daemon.
    if getenv("OMPI_COMM_WORLD_SIZE") == nil, getenv("PMIX_RANK") == nil {
      setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
    }
    let serialized = Int32(MPI_THREAD_SERIALIZED)
    var provided: Int32 = 0
    try check(MPI_Init_thread(nil, nil, serialized, &provided), "MPI_Init_thread")
    guard provided >= serialized else {
      throw .launcher(
        "this MPI library allows calls from the main thread only; "
          + "use one that supports MPI_THREAD_SERIALIZED")
    }
    try check(lasp_return_errors(lasp_comm_world()), "MPI_Comm_set_errhandler")
    // Open MPI has put handlers of its own.
    CrashHandler.install()
  }

  /// Numbers all ranks so that those of a host are consecutive.
  private func numberByHost() throws(MessagePassingError) {
    let launched = lasp_comm_world()
    let size: Int
    (launchRank, size) = try place(in: launched)
    var host: MPI_Comm?
    try check(
      MPI_Comm_split_type(
        launched, Int32(MPI_COMM_TYPE_SHARED), Int32(launchRank), lasp_info_null(), &host),
      "MPI_Comm_split_type")
    // A host's name may be another's too; the number of its first rank is not.
    var first = Int32(launchRank)
    try check(MPI_Bcast(&first, 4, lasp_byte(), 0, host), "MPI_Bcast")
    try check(MPI_Comm_free(&host), "MPI_Comm_free")
    var firsts = [Int32](repeating: 0, count: size)
    try check(
      MPI_Allgather(&first, 4, lasp_byte(), &firsts, 4, lasp_byte(), launched), "MPI_Allgather")
    let number = HostNumbering(hosts: firsts).numbers[launchRank]
    try check(MPI_Comm_split(launched, 0, Int32(number), &world), "MPI_Comm_split")
  }

  /// A request that was thrown away unfinished: the next operation throws it.
  var mistake: MessagePassingError? {
    get { dropped.withLock { $0 } }
    set { dropped.withLock { $0 = newValue } }
  }

  /// Throws MPI's own words if `code` is an error.
  func check(_ code: Int32, _ call: @autoclosure () -> String) throws(MessagePassingError) {
    guard code != MPI_SUCCESS else { return }
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING))
    var length: Int32 = 0
    MPI_Error_string(code, &text, &length)
    let message = String(
      decoding: text.prefix(Int(length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    throw .library(call: call(), message: message)
  }

  /// Says how many ranks share how many cores, on which depends how a wait gives way.
  func share(cores: Int, ranks: Int) {
    isCrowded.store(ranks > cores, ordering: .relaxed)
    // Lets naps be as short as they are meant to be.
    _ = lasp_set_timer_slack(1000)
  }

  /// Gives way for an instant; `MPI_Test` has already yielded once.
  ///
  /// Where ranks share cores, a rank that goes on yielding still takes its share of the time from those
  /// that compute. So it naps, ever longer, but never for more than a fraction of what it has waited.
  func pause(after elapsed: UInt64) {
    let crowded = isCrowded.load(ordering: .relaxed)
    guard elapsed > (crowded ? 200_000 : 10_000_000) else { return }
    var nap = timespec(tv_sec: 0, tv_nsec: Int(min(max(elapsed / 8, 5_000), 500_000)))
    nanosleep(&nap, nil)
  }

  /// Ends MPI when the program ends well; if it ends with an error, the launcher shall end all ranks.
  private func finalizeAtExit(deadline: Double) throws(MessagePassingError) {
    let all = try MPICommunicator(library: self, over: ending, deadline: deadline)
    on_exit(
      { status, raw in
        guard status == 0 || status == World.stopCode else { return }
        // MPI waits for all ranks without a deadline: so they meet before.
        let all = Unmanaged<MPICommunicator>.fromOpaque(raw!).takeRetainedValue()
        ProcessWatch.current.adopt([all.watch])
        all.watch.inquire { ProcessWatch.current.judge(waitingFor: $0) }
        Phase.enter("the end of the program")
        FaultPoint.reach("ending")
        do {
          try all.synchronize(for: "all ranks to end")
          Phase.enter("for all ranks in MPI_Finalize", nil, .meeting)
          FaultPoint.reach("finalize")
          try all.library.check(MPI_Finalize(), "MPI_Finalize")
          Phase.enter("the end of the program", nil, .long)
          FaultPoint.reach("exit")
        } catch {
          all.fail(error, code: 5)
        }
      }, Unmanaged.passRetained(all).toOpaque())
  }

  /// Tells all ranks that this one ends the job, and says whether it is the one to say why.
  ///
  /// Ranks that meet the same mistake end the job together. The one that speaks is the first, and of those
  /// that come to it at the same moment the one of the lowest number.
  ///
  /// - Parameter patience: Seconds to listen to ranks of lower numbers.
  func isFirstToEnd(patience: Double) -> Bool {
    guard let (rank, size) = try? place(in: ending) else { return true }
    if hasWord(from: 0..<size) { return false }
    let word = UnsafeMutablePointer<Int32>.allocate(capacity: 1)  // MPI may read it until the end
    word.initialize(to: Int32(rank))
    for other in 0..<size where other != rank {
      var request: MPI_Request?
      _ = MPI_Isend(word, 4, lasp_byte(), Int32(other), endTag, ending, &request)
    }
    let end = Clock.seconds + patience
    repeat {
      if hasWord(from: 0..<rank) { return false }
      usleep(1000)
    } while Clock.seconds < end
    return true
  }

  private var endTag: Int32 { 1 }

  /// Whether one of these ranks has said that it ends the job.
  private func hasWord(from ranks: Range<Int>) -> Bool {
    ranks.contains { rank in
      var isThere: Int32 = 0
      return MPI_Iprobe(Int32(rank), endTag, ending, &isThere, nil) == MPI_SUCCESS && isThere != 0
    }
  }
}
