import Foundation
import Synchronization

/// How far a command is, for the person who waits: a bar at a terminal's foot, else a line now and then.
package final class ProgressDisplay: Sendable {
  private struct State {
    var lastShown: Double
    var isShown = false
  }

  private let what: String
  private let output: TerminalOutput
  private let clock: @Sendable () -> Double
  private let start: Double
  private let state: Mutex<State>

  /// Begins to count; a command that takes less than a moment shows nothing.
  ///
  /// - Parameters:
  ///   - what: What is done, such as `evaluation`.
  ///   - clock: Seconds of a clock that never goes back.
  package init(
    _ what: String, output: TerminalOutput,
    clock: @escaping @Sendable () -> Double = { ProcessInfo.processInfo.systemUptime }
  ) {
    (self.what, self.output, self.clock) = (what, output, clock)
    start = clock()
    state = Mutex(State(lastShown: start))
  }

  /// Shows how much is done, if it is time again.
  ///
  /// - Parameters:
  ///   - done: What is done of `total`, in any unit.
  ///   - note: What more there is to say, such as a speed.
  package func show(
    _ done: Double, of total: Double,
    note: @autoclosure () -> String? = nil
  ) {
    guard !output.isQuiet else { return }
    let now = clock()
    let isDue = state.withLock {
      guard now - $0.lastShown >= (output.foot == nil ? 10 : 0.2) else { return false }
      $0.lastShown = now
      $0.isShown = true
      return true
    }
    guard isDue else { return }
    let share = total > 0 ? min(1, done / total) : 1
    let left = share > 0 ? (now - start) * (1 - share) / share : .nan
    let notes = [note(), "\(Format.duration(left)) left"].compactMap { $0 }.joined(separator: "  ")
    if let foot = output.foot {
      let width = min(output.width - 1, 100)
      let room = width - what.count - 1
      foot("\(what) " + Self.bar(share: share, note: notes, width: room))
    } else {
      output.notice("\(what): \(Int(share * 100))%, \(notes)")
    }
  }

  /// Takes the bar away.
  package func end() {
    if state.withLock({ $0.isShown }) { output.foot?("") }
  }

  /// A bar that fills from the left: `[=====>    ] 41%`, and a note.
  static func bar(share: Double, note: String, width: Int) -> String {
    let text = " \(Format.right("\(Int(share * 100))%", 4))  \(note)"
    let room = min(30, width - text.count - 2)
    guard room >= 5 else { return String(text.drop { $0 == " " }.prefix(max(width, 0))) }
    let filled = Int(share * Double(room))
    let body = String(repeating: "=", count: filled).dropLast(filled < room ? 1 : 0)
    let head = filled > 0 && filled < room ? ">" : ""
    return "[\(Format.left(body + head, room))]\(text)"
  }
}
