import Glibc
import Synchronization

/// What a process says when a fault ends it: one line, on the standard error, in the run's log, and to no end of others.
package enum LastWords {
  /// Names this process as lines of faults do, such as `rank 3 (node7)`; before it is named, such a line has no name.
  package static func name(_ text: String) {
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: text.utf8.count + 1)
    for (index, byte) in text.utf8.enumerated() { bytes[index] = byte }
    bytes[text.utf8.count] = 0
    // Never given back: a handler may be reading it.
    nameAddress.store(UInt(bitPattern: bytes), ordering: .releasing)
  }

  /// The name; empty if there is none.
  package static var name: String { nameBytes.map { String(cString: $0) } ?? "" }

  /// What brings a line to the run's log, or to the rank that has it; called once, by any thread.
  package static func carry(by carrier: (@Sendable (String) -> Void)?) {
    carriers.withLock { $0 = carrier }
  }

  /// Prints a line to the standard error at once, and has it carried to the run's log.
  package static func say(_ line: String) {
    fflush(nil)
    let text = line + "\n"
    _ = text.withCString { write(STDERR_FILENO, $0, text.utf8.count) }
    carry(line)
  }

  /// Has a line that another rank has printed carried to the run's log.
  package static func carry(_ line: String) { carriers.withLock { $0.take() }?(line) }

  /// Prints `rank 3 (host): cause` and ends this process; the launcher ends all others.
  package static func end(_ cause: String, code: Int32) -> Never {
    // Should what carries the line stand still, too.
    signal(SIGALRM, SIG_DFL)
    alarm(10)
    let name = name
    say(name.isEmpty ? cause : "\(name): \(cause)")
    _exit(code)
  }

  /// Ends this process because the system has no more of something: exit code 7.
  package static func end(exhausted cause: String) -> Never { end(cause, code: 7) }

  static var nameBytes: UnsafePointer<UInt8>? {
    UnsafePointer(bitPattern: nameAddress.load(ordering: .acquiring))
  }
}

private let nameAddress = Atomic<UInt>(0)
private let carriers = Mutex<(@Sendable (String) -> Void)?>(nil)
