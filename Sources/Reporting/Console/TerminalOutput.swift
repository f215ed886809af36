import Foundation

/// Where a run's words for a person go.
package struct TerminalOutput: Sendable {
  /// Writes a line; given without its line break.
  package var line: @Sendable (String) -> Void
  /// Replaces the line at the terminal's foot, the progress bar; nil where there is no terminal.
  ///
  /// An empty text removes it.
  package var foot: (@Sendable (String) -> Void)?
  /// Characters of a terminal's line.
  package var width: Int

  package init(
    width: Int = 100, foot: (@Sendable (String) -> Void)? = nil,
    line: @escaping @Sendable (String) -> Void
  ) {
    self.line = line
    self.foot = foot
    self.width = width
  }

  /// Lines to the standard output, and a foot on the standard error where that really is a terminal.
  ///
  /// Launchers give their ranks a pseudo-terminal as standard output even where theirs is a pipe, and
  /// none as standard error: so the latter decides.
  package static func standard(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> TerminalOutput {
    let kind = environment["TERM"] ?? ""
    let stream = PatientStream()
    guard isatty(STDERR_FILENO) == 1, !kind.isEmpty, kind != "dumb" else {
      return TerminalOutput { stream.write($0 + "\n", to: STDOUT_FILENO) }
    }
    var size = winsize()
    let known = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return TerminalOutput(
      width: known ? Int(size.ws_col) : 80,
      foot: { stream.write("\r\u{1b}[K" + $0, to: STDERR_FILENO) },
      line: { stream.write($0 + "\n", to: STDOUT_FILENO) })
  }
}
