import Foundation

/// Where a command's words for a person go.
///
/// Results go to the standard output; warnings and how far it is, to the standard error. Where both end at one
/// terminal all go the same way, so that a launcher, which forwards each stream by itself, keeps their order.
package struct TerminalOutput: Sendable {
  /// Writes a line of the result; given without its line break.
  package var line: @Sendable (String) -> Void
  /// Writes a line that is no result: a warning, or how far it is.
  package var notice: @Sendable (String) -> Void
  /// Replaces the line at the terminal's foot, the progress bar; nil where there is none.
  ///
  /// An empty text removes it.
  package var foot: (@Sendable (String) -> Void)?
  /// Whether only warnings and results are wanted.
  package var isQuiet: Bool
  /// Whether warnings have a colour.
  package var hasColour: Bool
  /// Whether results end at a terminal.
  package private(set) var isTerminal = false
  private let columns: @Sendable () -> Int

  /// Characters of a line: those that a terminal has now.
  package var width: Int { columns() }
  /// Characters that a table may take: a terminal's, else as many as it wants.
  package var tableWidth: Int { isTerminal ? width : .max }

  /// - Parameter notice: What writes lines that are no result; nil for the same as for results.
  package init(
    width: Int = 100, foot: (@Sendable (String) -> Void)? = nil, isQuiet: Bool = false,
    hasColour: Bool = false, notice: (@Sendable (String) -> Void)? = nil,
    line: @escaping @Sendable (String) -> Void
  ) {
    self.init(
      columns: { width }, foot: foot, isQuiet: isQuiet, hasColour: hasColour,
      notice: notice ?? line, line: line)
  }

  private init(
    columns: @escaping @Sendable () -> Int, foot: (@Sendable (String) -> Void)?, isQuiet: Bool,
    hasColour: Bool, notice: @escaping @Sendable (String) -> Void,
    line: @escaping @Sendable (String) -> Void
  ) {
    (self.columns, self.foot, self.isQuiet) = (columns, foot, isQuiet)
    (self.hasColour, self.notice, self.line) = (hasColour, notice, line)
  }

  /// The standard streams.
  ///
  /// - Parameter mode: What is asked for; nil for a bar where there is a terminal, else lines.
  package static func standard(
    _ mode: ConsoleMode? = nil,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> TerminalOutput {
    let terminals = Terminals.find(environment)
    let stream = PatientStream()
    let isOne = terminals.output != nil && terminals.output == terminals.error
    let errors = isOne ? STDOUT_FILENO : STDERR_FILENO
    let isLive = mode == .live || mode == nil && (terminals.output ?? terminals.error) != nil
    let device = terminals.output ?? terminals.error
    let told = environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    let footing = terminals.output != nil ? STDOUT_FILENO : STDERR_FILENO
    let usual = device == nil ? 100 : 80
    let foot: @Sendable (String) -> Void = { stream.write("\r\u{1b}[K" + $0, to: footing) }
    let columns: @Sendable () -> Int = {
      device.flatMap { Terminals.columns(of: $0) } ?? told ?? usual
    }
    // A terminal breaks lines anywhere; what is read by programs stays in one.
    let folds = [STDOUT_FILENO: terminals.output != nil, STDERR_FILENO: terminals.error != nil]
    let write: @Sendable (String, Int32) -> Void = { line, descriptor in
      let isFolded = folds[descriptor] ?? false
      stream.write((isFolded ? Format.folded(line, width: columns()) : line) + "\n", to: descriptor)
    }
    var output = TerminalOutput(
      columns: columns,
      foot: isLive ? foot : nil, isQuiet: mode == .quiet,
      hasColour: terminals.error != nil && (environment["NO_COLOR"] ?? "").isEmpty,
      notice: { write($0, errors) }, line: { write($0, STDOUT_FILENO) })
    output.isTerminal = terminals.output != nil
    return output
  }

  /// Writes a warning, in yellow where there are colours.
  package func warning(_ message: String) {
    let mark = hasColour ? "\u{1b}[33mwarning:\u{1b}[0m" : "warning:"
    notice("\(mark) \(message)")
  }
}
