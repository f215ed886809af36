/// What a command that has no console of its own tells its user beside its result.
package enum Notices {
  /// Prints each line to the standard error, as a warning.
  package static func print(_ lines: [String]) {
    guard !lines.isEmpty else { return }
    let output = TerminalOutput.standard()
    for line in lines { output.warning(line) }
  }
}
