import Glibc

/// The machine that this rank runs on, and its share of it.
public struct Host: Sendable {
  /// The machine's name.
  public static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// Prints a line to the standard error output, at once.
func printFailure(_ line: String) {
  fflush(nil)
  let text = line + "\n"
  _ = text.withCString { write(STDERR_FILENO, $0, text.utf8.count) }
}
