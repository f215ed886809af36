import Measurement
import Synchronization

/// What one rank waits for, how long it has waited so far, and how long it may.
///
/// All communicators of a rank share one watch, which any thread may read.
package final class Watch: Sendable {
  /// A wait that goes on.
  package struct Waiting: Sendable {
    /// What is waited for, such as `state of layer 3 from rank 2`.
    package let purpose: String
    /// For how many seconds already.
    package let seconds: Double
  }

  /// This rank's number in the world.
  package let worldRank: Int

  private let waited = Atomic<UInt64>(0)
  private let deadlineNanoseconds: Atomic<UInt64>
  private let published = Mutex<(purpose: String, since: UInt64)?>(nil)
  private let failing = Atomic<Bool>(false)

  /// Makes the watch of a rank.
  ///
  /// - Parameter deadline: Seconds that a wait may last.
  package init(worldRank: Int, deadline: Double = Watch.usualDeadline) {
    self.worldRank = worldRank
    deadlineNanoseconds = Atomic(nanoseconds(max(deadline, 0)))
  }

  /// Seconds that a wait may last where nothing else is said.
  package static let usualDeadline = 300.0

  /// Seconds that a wait may last by `LASP_DEADLINE`.
  static func deadline(environment: [String: String]) throws(MessagePassingError) -> Double {
    guard let text = environment["LASP_DEADLINE"] else { return usualDeadline }
    guard let seconds = Double(text), seconds > 0 else {
      throw .launcher(
        "LASP_DEADLINE=\(text) in the environment is not a number of seconds above 0; "
          + "set it to one, such as 60, or leave it out")
    }
    return seconds
  }

  /// Seconds that this rank has spent waiting, since the start.
  package var waitSeconds: Double { Double(waited.load(ordering: .relaxed)) * 1e-9 }

  /// Seconds after which a wait fails.
  package var deadline: Double {
    get { Double(deadlineNanoseconds.load(ordering: .relaxed)) * 1e-9 }
    set { deadlineNanoseconds.store(nanoseconds(max(newValue, 0)), ordering: .relaxed) }
  }

  /// What this rank waits for now, if it has waited for more than an instant.
  package var waiting: Waiting? {
    published.withLock { $0 }.map {
      Waiting(purpose: $0.purpose, seconds: Double(Clock.nanoseconds - $0.since) * 1e-9)
    }
  }

  /// Whether an operation of this rank has failed: what it leaves unfinished is then no mistake.
  var isFailing: Bool {
    get { failing.load(ordering: .relaxed) }
    set { failing.store(newValue, ordering: .relaxed) }
  }

  /// Tests, polls and pauses until `operation` is done.
  func wait(
    for operation: any PendingOperation, _ purpose: () -> String,
    polling poll: (() throws -> Void)
  ) throws(MessagePassingError) {
    if try operation.test() { return }
    let start = Clock.nanoseconds
    var isPublished = false
    defer {
      waited.add(Clock.nanoseconds - start, ordering: .relaxed)
      if isPublished { published.withLock { $0 = nil } }
    }
    while true {
      do { try poll() } catch let error as MessagePassingError { throw error } catch {
        throw .interrupted(purpose: purpose(), by: error)
      }
      if try operation.test() { return }
      let elapsed = Clock.nanoseconds - start
      if elapsed > deadlineNanoseconds.load(ordering: .relaxed) {
        throw .deadline(purpose: purpose(), seconds: Double(elapsed) * 1e-9)
      }
      if !isPublished, elapsed > 100_000 {
        let text = purpose()
        published.withLock { $0 = (text, start) }
        isPublished = true
      }
      operation.pause(after: elapsed)
    }
  }
}

/// Seconds as nanoseconds, a century at most.
private func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min(seconds, 3e9) * 1e9) }
