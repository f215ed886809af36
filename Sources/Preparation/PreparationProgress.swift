import Foundation
import Reporting
import Synchronization

/// How far the workers are, for a person: a bar where there is a terminal, else a line now and then.
final class PreparationProgress: Sendable {
  private struct State {
    /// Bytes read of each unit that is being worked on.
    var reading: [Int: Int] = [:]
    var done = 0
    var tokens = 0
  }

  private let total: Int
  private let progress: ProgressDisplay
  private let start = ProcessInfo.processInfo.systemUptime
  private let state: Mutex<State>

  init(total: Int, output: TerminalOutput) {
    self.total = total
    progress = ProgressDisplay("tokens", output: output)
    state = Mutex(State())
  }

  /// A unit has been read so far.
  func read(_ unit: Int, bytes: Int) {
    show { $0.reading[unit] = bytes }
  }

  /// A unit is complete.
  func finish(_ unit: Int, bytes: Int, tokens: Int) {
    show {
      $0.reading[unit] = nil
      $0.done += bytes
      $0.tokens += tokens
    }
  }

  /// Takes the bar away.
  func end() { progress.end() }

  private func show(_ change: (inout State) -> Void) {
    let bytes = state.withLock {
      change(&$0)
      return min(total, $0.done + $0.reading.values.reduce(0, +))
    }
    let rate = Double(bytes) / max(ProcessInfo.processInfo.systemUptime - start, 1e-3)
    progress.show(
      Double(bytes), of: Double(total),
      note: "of \(Format.bytes(total))  \(String(format: "%.1f", rate / 1e6)) MB/s")
  }
}
