import Glibc

/// Prints a line to the standard error output, at once.
func printFailure(_ line: String) {
  fflush(nil)
  let text = line + "\n"
  _ = text.withCString { write(STDERR_FILENO, $0, text.utf8.count) }
}
