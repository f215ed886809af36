import Glibc

/// A line that is put together in a signal's handler, where nothing may be allocated.
struct CrashLine {
  private var bytes:
    (
      SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>,
      SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>
    ) = (.zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero)
  private(set) var count = 0
  private static let capacity = 12 * 64 - 1

  static let cure: StaticString =
    "; it is a mistake in the program or in a library: report it, and go on with --training.resume=auto"

  /// The same where the process may not have as much memory as it wants: most of what then fails says no more.
  static let cureOfLimit: StaticString =
    "; the limit of memory (ulimit -v) may be too low: raise it, and go on with --training.resume=auto"

  /// The same where its stack may be no longer than a few calls of libraries.
  static let cureOfStack: StaticString =
    "; the limit of the stack (ulimit -s) may be too low: raise it to 8192, and go on with --training.resume=auto"

  static func cause(_ number: Int32) -> StaticString {
    switch number {
    case SIGSEGV: "ended by SIGSEGV (an invalid address)"
    case SIGBUS: "ended by SIGBUS (an address without memory, as of a file that shrank)"
    case SIGILL, SIGTRAP: "ended by SIGILL (a check in the program failed)"
    case SIGFPE: "ended by SIGFPE (an impossible division)"
    case SIGABRT: "ended by SIGABRT (a library gave up)"
    default: "ended by a signal"
    }
  }

  mutating func add(_ byte: UInt8) {
    guard count < Self.capacity else { return }
    withUnsafeMutableBytes(of: &bytes) { $0[count] = byte }
    count += 1
  }

  mutating func add(_ text: UnsafePointer<UInt8>) {
    var next = text
    while next.pointee != 0 {
      add(next.pointee)
      next += 1
    }
  }

  mutating func add(_ line: CrashLine) {
    var line = line
    withUnsafeBytes(of: &line.bytes) { for index in 0..<line.count { add($0[index]) } }
  }

  mutating func add(_ text: StaticString) { add(text.utf8Start) }

  /// - Parameter digits: Digits to fill up with zeros.
  mutating func add(_ number: Int, digits: Int = 1) {
    var (power, length) = (1, 1)
    let number = max(number, 0)
    while number / power >= 10 || length < digits {
      power *= 10
      length += 1
    }
    while power > 0 {
      add(UInt8(ascii: "0") + UInt8(number / power % 10))
      power /= 10
    }
  }

  /// The log's `end` event with another line as its reason.
  mutating func addEndEvent(_ reason: CrashLine, steps: Int, seconds: Int) {
    add("{\"event\":\"end\",\"time\":\"")
    addTime()
    add("\",\"reason\":\"")
    var reason = reason
    withUnsafeBytes(of: &reason.bytes) { raw in
      for index in 0..<min(reason.count, 500) {
        let byte = raw[index]
        add(byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 32 ? 0x27 : byte)
      }
    }
    add("\",\"steps\":")
    add(steps)
    add(",\"seconds\":")
    add(seconds)
    add("}")
  }

  /// The time as `2026-11-21T08:42:13Z`.
  private mutating func addTime() {
    let time = Int(Glibc.time(nil))
    let (day, second) = (time / 86400, time % 86400)
    // Days since the first of March of the year 0, in eras of 400 years.
    let shifted = day + 719_468
    let era = shifted / 146_097
    let ofEra = shifted - era * 146_097
    let year = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * year + year / 4 - year / 100)
    let month = (5 * ofYear + 2) / 153
    add(year + era * 400 + (month >= 10 ? 1 : 0), digits: 4)
    add("-")
    add(month < 10 ? month + 3 : month - 9, digits: 2)
    add("-")
    add(ofYear - (153 * month + 2) / 5 + 1, digits: 2)
    add("T")
    add(second / 3600, digits: 2)
    add(":")
    add(second / 60 % 60, digits: 2)
    add(":")
    add(second % 60, digits: 2)
    add("Z")
  }

  /// Writes the line, with a line break.
  mutating func write(to descriptor: Int32) {
    withUnsafeMutableBytes(of: &bytes) { $0[count] = UInt8(ascii: "\n") }
    withUnsafeBytes(of: &bytes) {
      var done = 0
      while done <= count {
        let written = Glibc.write(descriptor, $0.baseAddress! + done, count + 1 - done)
        if written <= 0 { return }
        done += written
      }
    }
  }

  /// The line as text.
  var text: String { withUnsafeBytes(of: bytes) { String(decoding: $0[..<count], as: UTF8.self) } }
}
