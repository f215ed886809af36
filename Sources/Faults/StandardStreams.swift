// C's `stdout`, which `print` writes to, is a variable.
@preconcurrency import Glibc

/// The three descriptors that every program has from its start, or should have.
package enum StandardStreams {
  /// Opens what is closed, so that no file of the program gets its number and the console's lines with it.
  ///
  /// What is opened takes nothing: reading and writing fail as on a closed descriptor. SIGPIPE ends no longer what
  /// writes to a pipe that nobody reads.
  package static func open() {
    signal(SIGPIPE, SIG_IGN)
    // A file that would be longer than it may (ulimit -f) is an error of its writer's, too.
    signal(SIGXFSZ, SIG_IGN)
    for descriptor in STDIN_FILENO...STDERR_FILENO
    where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The lowest free number is this one.
      _ = Glibc.open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Writes out what `print` has kept back.
  ///
  /// - Returns: Why it, or something before, could not be written; nil if all was.
  package static func flush() -> String? {
    errno = 0
    let failed = fflush(stdout) != 0
    let reason = errno
    guard failed || ferror(stdout) != 0 else { return nil }
    return sentence(reason)
  }

  /// Writes all of a text to the standard output, behind what `print` wrote.
  ///
  /// - Throws: `OutputError`.
  package static func write(_ text: String) throws(OutputError) {
    if let reason = flush() { throw OutputError(description: reason) }
    var (text, failure) = (text, Int32(0))
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(STDOUT_FILENO, bytes.baseAddress! + done, bytes.count - done)
        if count < 0 {
          if errno == EINTR { continue }
          failure = errno
          return
        }
        done += count
      }
    }
    if failure != 0 {
      throw OutputError(description: sentence(failure), isFull: [ENOSPC, EDQUOT].contains(failure))
    }
  }

  private static func sentence(_ code: Int32) -> String {
    let cause =
      switch code {
      case EBADF: "it is closed"
      case EPIPE: "what reads it has ended"
      case 0: "it is closed, full, or no longer read"
      default: String(cString: strerror(code))
      }
    return
      "the standard output cannot be written: \(cause); give it a file or a terminal that takes it"
  }
}

/// The standard output takes nothing more.
package struct OutputError: Error, CustomStringConvertible {
  package let description: String
  /// Whether the disk is full.
  package var isFull = false
}
