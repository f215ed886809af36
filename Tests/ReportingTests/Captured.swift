import Synchronization

@testable import Reporting

/// What a console printed.
final class Captured: Sendable {
  private let texts = Mutex<(lines: [String], feet: [String])>(([], []))

  var lines: [String] { texts.withLock { $0.lines } }
  var feet: [String] { texts.withLock { $0.feet } }

  func output(terminal: Bool = false, width: Int = 100) -> TerminalOutput {
    let foot: @Sendable (String) -> Void = { text in self.texts.withLock { $0.feet.append(text) } }
    return TerminalOutput(width: width, foot: terminal ? foot : nil) { text in
      self.texts.withLock { $0.lines.append(text) }
    }
  }
}
