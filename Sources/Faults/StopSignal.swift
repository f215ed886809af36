import Glibc
import Synchronization

/// The signals by which users and schedulers tell a training run to stop, or to save.
///
/// SIGTERM, SIGINT, SIGHUP and SIGUSR1 ask for an end with a checkpoint; a second SIGINT ends at once. SIGUSR2 asks for a
/// checkpoint.
package enum StopSignal {
  private static let stopping = [SIGTERM, SIGINT, SIGHUP, SIGUSR1]
  private static var all: [Int32] { stopping + [SIGUSR2] }

  /// Keeps these signals back, through a start of the program anew too, until it is known whether it trains.
  package static func hold() { mask(SIG_BLOCK) }

  /// Gives these signals their usual effect, which is to end the program.
  package static func release() { mask(SIG_UNBLOCK) }

  /// From now on these signals do not end the process; `isRaised` and `isSaveAsked` tell of them.
  package static func listen() {
    for number in all {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { StopSignal.handle($0) }
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
    release()
  }

  /// Whether this process was told to stop.
  package static var isRaised: Bool { raised.load(ordering: .relaxed) > 0 }

  /// How often this process was told to save and go on.
  package static var savesAsked: Int { saves.load(ordering: .relaxed) }

  private static func handle(_ number: Int32) {
    if number == SIGUSR2 {
      saves.add(1, ordering: .relaxed)
      return
    }
    if number == SIGINT, interrupts.add(1, ordering: .relaxed).oldValue > 0 { _exit(128 + SIGINT) }
    raised.add(1, ordering: .relaxed)
  }

  private static func mask(_ how: Int32) {
    var set = sigset_t()
    sigemptyset(&set)
    for number in all { sigaddset(&set, number) }
    pthread_sigmask(how, &set, nil)
  }
}

private let raised = Atomic<Int>(0)
private let interrupts = Atomic<Int>(0)
private let saves = Atomic<Int>(0)
