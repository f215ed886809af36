import Faults
import Foundation

/// When this rank asks all ranks to stop before the last step, and why.
///
/// A signal asks, `training.max_minutes`, or the end of a Slurm allocation, which Slurm tells by `SLURM_JOB_END_TIME`.
struct StopRequest {
  private let started = ProcessInfo.processInfo.systemUptime
  private let minutes: Double
  private let allocationEnd: Double?
  /// Seconds that what is under way takes at most, with the checkpoint after it.
  var reserve = 60.0

  /// Begins to count the minutes.
  init(
    maxMinutes: Double, environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    minutes = maxMinutes
    allocationEnd = environment["SLURM_JOB_END_TIME"].flatMap(Double.init)
  }

  /// Why this rank asks now; nil if it does not.
  func reason(
    now: Date = Date(), uptime: Double = ProcessInfo.processInfo.systemUptime
  ) -> String? {
    if StopSignal.isRaised { return Self.bySignal }
    if minutes > 0, uptime - started >= minutes * 60 {
      return "stopped by training.max_minutes"
    }
    if let allocationEnd, now.timeIntervalSince1970 + reserve >= allocationEnd {
      return "stopped before the end of the Slurm allocation"
    }
    return nil
  }

  /// The reason where another rank asked.
  static let bySignal = "stopped by a signal"
}
