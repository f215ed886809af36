import COpenMPI
import Glibc
import Synchronization

/// Open MPI in this process: how it starts and ends, how it reports errors, and how a wait gives way.
final class MPILibrary: Sendable {
  /// The most bytes of one call to MPI, whose counts are 32-bit: longer ones are sent in pieces.
  let largestPiece: Int
  /// Whether MPI was started by this object, and not before.
  let hasStarted: Bool
  /// Whether this machine has fewer cores than ranks, so that a waiting rank takes time from others.
  private let isCrowded = Atomic<Bool>(false)
  private let dropped = Mutex<MessagePassingError?>(nil)

  /// Starts MPI, unless it has been started.
  ///
  /// - Parameter largestPiece: The most bytes of one call.
  init(largestPiece: Int = 1 << 30) throws(MessagePassingError) {
    self.largestPiece = largestPiece
    var isInitialized: Int32 = 0
    MPI_Initialized(&isInitialized)
    guard isInitialized == 0 else {
      hasStarted = false
      return
    }
    hasStarted = true

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
  ///
  /// - Parameter ending: A communicator of all ranks that nothing else uses.
  func finalizeAtExit(_ ending: MPICommunicator) {
    on_exit(
      { status, raw in
        guard status == 0 else { return }
        // MPI waits for all ranks without a deadline: so they meet before.
        let ending = Unmanaged<MPICommunicator>.fromOpaque(raw!).takeRetainedValue()
        do {
          try ending.synchronize(for: "all ranks to end")
          try ending.library.check(MPI_Finalize(), "MPI_Finalize")
        } catch {
          ending.fail(error)
        }
      }, Unmanaged.passRetained(ending).toOpaque())
  }
}
