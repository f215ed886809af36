@preconcurrency import Glibc
import Synchronization

/// Faults that a test asks for: a command that a rank runs when it comes to a place of a run.
///
/// `LASP_FAULT=PLACE:RANK:STEP:COMMAND` has the rank that the launcher calls RANK run COMMAND in a shell when it first comes to
/// PLACE in step STEP; `kill -STOP $PPID` there stops the rank. A place is a phase, what a wait is for, or a part of a
/// step; steps count from 1, and 0 is any. Without the variable nothing is done, and it costs a look at a flag.
package enum FaultPoint {
  private struct Wanted: Sendable {
    let place, command: String
    let step: Int
  }

  private static let wanted: Wanted? = {
    guard let text = getenv("LASP_FAULT").map({ String(cString: $0) }) else { return nil }
    let parts = text.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, let step = Int(parts[2]) else { return nil }
    let names = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]
    let ranks = names.compactMap { name in getenv(name).map { String(cString: $0) } }
    let own = ranks.first ?? "0"
    guard parts[1] == own else { return nil }
    return Wanted(place: String(parts[0]), command: String(parts[3]), step: step)
  }()

  private static let step = Atomic<Int>(0)
  private static let isDone = Atomic<Bool>(false)

  /// Runs the command if this is its place.
  ///
  /// - Parameters:
  ///   - place: Where the rank is: a text that begins with, or has in it, the one that was asked for.
  ///   - number: The step; nil for the one that was told last.
  package static func reach(_ place: @autoclosure () -> String, _ number: Int? = nil) {
    guard let wanted else { return }
    if let number { step.store(number, ordering: .relaxed) }
    guard wanted.step == 0 || wanted.step == step.load(ordering: .relaxed),
      place().contains(wanted.place), !isDone.exchange(true, ordering: .relaxed)
    else { return }
    run(wanted.command)
  }

  /// Runs a command in a shell and waits for its end; unlike `system`, without being deaf to SIGINT meanwhile.
  private static func run(_ command: String) {
    let words: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-c"), strdup(command), nil]
    defer { for word in words { free(word) } }
    var (process, status) = (pid_t(), Int32())
    guard posix_spawn(&process, "/bin/sh", nil, nil, words, environ) == 0 else { return }
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
  }
}
