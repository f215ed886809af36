import Glibc

/// What a command that has no console of its own tells its user beside its result.
package enum Notices {
  /// Prints each line to the standard error, as a warning.
  package static func print(_ lines: [String]) {
    for line in lines {
      let text = "warning: \(line)\n"
      _ = write(STDERR_FILENO, text, text.utf8.count)
    }
  }
}
