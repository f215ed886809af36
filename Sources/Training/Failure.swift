import Faults
import Foundation

/// How a process that fails before its ranks know each other says so.
package enum Failure {
  /// Prints a message to the standard error and gives the exit code.
  ///
  /// Under a launcher every rank finds the same mistake; the first prints it, and the launcher then
  /// ends the others. So a later rank waits, and speaks only where it is still there: the mistake
  /// is its own.
  ///
  /// - Parameters:
  ///   - message: What is wrong; what to do. No line break at the end.
  ///   - status: Why the program ends.
  /// - Returns: The exit code.
  package static func report(
    _ message: String, _ status: ExitReason,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> Int32 {
    let rank = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"]
      .lazy.compactMap { environment[$0].flatMap { Int($0) } }.first
    // What the launcher then sends to the others shall end them.
    StopSignal.release()
    if let rank, rank > 0 { Thread.sleep(forTimeInterval: 4) }
    LastWords.say(message)
    return status.rawValue
  }
}
