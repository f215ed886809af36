import Measurement
import Synchronization

/// What this process is at, which its watch, other ranks and its last words tell.
///
/// It belongs to the process, as signals and threads do, and not to a rank: of ranks that are threads, the one that
/// enters last is told. A signal's handler may read it.
package enum Phase {
  /// How long a phase may take.
  package enum Kind: Int, Sendable {
    /// All ranks meet, in a call that tells nothing while it waits: no longer than a wait may last.
    case meeting
    /// Work that shows its progress by `beat`.
    case working
    /// Work that may take long and show nothing, as writing to a slow disk: others wait for it knowingly.
    case long
  }

  /// A phase as it was read.
  package struct Reading: Sendable, Equatable {
    /// Such as `step 17`.
    package var text: String
    package var kind: Kind
    /// For how long, in seconds.
    package var seconds: Double
  }

  /// Enters a phase.
  ///
  /// - Parameters:
  ///   - text: What the process is at, such as `step`.
  ///   - number: What stands behind the text; nil for nothing.
  package static func enter(_ text: StaticString, _ number: Int? = nil, _ kind: Kind = .working) {
    textAddress.store(UInt(bitPattern: text.utf8Start), ordering: .relaxed)
    phaseNumber.store(number ?? -1, ordering: .relaxed)
    phaseKind.store(kind.rawValue, ordering: .relaxed)
    since.store(AwakeClock.nanoseconds, ordering: .relaxed)
    beat()
  }

  /// Runs `body` in a phase of its own, and then goes on with the one before.
  package static func during<T, E: Error>(
    _ text: StaticString, _ number: Int? = nil, _ kind: Kind, _ body: () throws(E) -> T
  ) throws(E) -> T {
    let before = (
      textAddress.load(ordering: .relaxed), phaseNumber.load(ordering: .relaxed),
      phaseKind.load(ordering: .relaxed), since.load(ordering: .relaxed)
    )
    enter(text, number, kind)
    defer {
      textAddress.store(before.0, ordering: .relaxed)
      phaseNumber.store(before.1, ordering: .relaxed)
      phaseKind.store(before.2, ordering: .relaxed)
      since.store(before.3, ordering: .relaxed)
      beat()
    }
    return try body()
  }

  /// Shows that the process works.
  package static func beat() { beats.add(1, ordering: .relaxed) }

  /// How often it has shown so.
  package static var beatCount: UInt64 { beats.load(ordering: .relaxed) }

  /// The phase now.
  package static var current: Reading {
    var text = ""
    if let bytes = textBytes { text = String(cString: bytes) }
    let number = phaseNumber.load(ordering: .relaxed)
    if number >= 0 { text += " \(number)" }
    let time = AwakeClock.nanoseconds
    let start = min(since.load(ordering: .relaxed), time)
    return Reading(
      text: text, kind: Kind(rawValue: phaseKind.load(ordering: .relaxed)) ?? .working,
      seconds: Double(time - start) * 1e-9)
  }

  /// The text's bytes, ended by a zero, and the number; −1 for none.
  static var textBytes: UnsafePointer<UInt8>? {
    UnsafePointer(bitPattern: textAddress.load(ordering: .relaxed))
  }
  static var number: Int { phaseNumber.load(ordering: .relaxed) }
}

/// Time in which this process could run: while it is stopped and then continued, as by a shell's Ctrl-Z, nothing passes
/// but an instant.
package enum AwakeClock {
  /// Nanoseconds since an arbitrary start.
  package static var nanoseconds: UInt64 {
    Clock.nanoseconds - frozen.load(ordering: .relaxed)
  }

  /// Takes out of the account a time in which a thread that wakes every second did not wake.
  package static func skip(_ nanoseconds: UInt64) { frozen.add(nanoseconds, ordering: .relaxed) }
}

private let textAddress = Atomic<UInt>(0)
private let phaseNumber = Atomic<Int>(-1)
private let phaseKind = Atomic<Int>(Phase.Kind.long.rawValue)
private let since = Atomic<UInt64>(0)
private let beats = Atomic<UInt64>(0)
private let frozen = Atomic<UInt64>(0)
