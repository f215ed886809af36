import Glibc
import Synchronization

/// SIGTERM and SIGUSR1, by which schedulers announce that a job's time ends: a request to stop.
enum StopSignal {
  /// From now on these signals do not end the process; `isRaised` tells of them.
  static func listen() {
    isRaised = false
    for number in [SIGTERM, SIGUSR1] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in raised.store(true, ordering: .relaxed) }
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
  }

  /// Whether this process was told to stop.
  static var isRaised: Bool {
    get { raised.load(ordering: .relaxed) }
    set { raised.store(newValue, ordering: .relaxed) }
  }
}

/// The one thing that a signal's handler can reach.
private let raised = Atomic<Bool>(false)
