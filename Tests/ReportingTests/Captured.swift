import Synchronization

@testable import Reporting

/// What a console printed.
final class Captured: Sendable {
  private struct Texts {
    var lines: [String] = []
    var notices: [String] = []
    var feet: [String] = []
  }

  private let texts = Mutex(Texts())

  /// The result, and what is none.
  var lines: [String] { texts.withLock { $0.lines } }
  var notices: [String] { texts.withLock { $0.notices } }
  var feet: [String] { texts.withLock { $0.feet } }

  func output(
    terminal: Bool = false, width: Int = 100, quiet: Bool = false, colour: Bool = false
  ) -> TerminalOutput {
    let foot: @Sendable (String) -> Void = { text in self.texts.withLock { $0.feet.append(text) } }
    return TerminalOutput(
      width: width, foot: terminal ? foot : nil, isQuiet: quiet, hasColour: colour,
      notice: { text in self.texts.withLock { $0.notices.append(text) } }
    ) { text in
      self.texts.withLock { $0.lines.append(text) }
    }
  }
}
