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
    var lastShown: Double
  }

  private let total: Int
  private let output: TerminalOutput
  private let start = ProcessInfo.processInfo.systemUptime
  private let state: Mutex<State>

  init(total: Int, output: TerminalOutput) {
    (self.total, self.output) = (total, output)
    state = Mutex(State(lastShown: ProcessInfo.processInfo.systemUptime))
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
  func end() { output.foot?("") }

  private func show(_ change: (inout State) -> Void) {
    let text: String? = state.withLock {
      change(&$0)
      let now = ProcessInfo.processInfo.systemUptime
      guard now - $0.lastShown >= (output.foot == nil ? 10 : 0.2) else { return nil }
      $0.lastShown = now
      let bytes = min(total, $0.done + $0.reading.values.reduce(0, +))
      let rate = Double(bytes) / max(now - start, 1e-3)
      let left = rate > 0 ? Double(total - bytes) / rate : 0
      let share = total > 0 ? Double(bytes) / Double(total) : 1
      return String(
        format: "%3.0f%% of %@, %.1f MB/s, %@ left", 100 * share, Format.bytes(total), rate / 1e6,
        Format.duration(left))
    }
    guard let text else { return }
    if let foot = output.foot { foot(text) } else { output.line(text) }
  }
}
