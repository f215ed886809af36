import Faults
import Glibc
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

  private struct Published {
    var purpose: String
    var since: UInt64
    var peers: [Int]?
  }

  /// Finds out about the ranks that a wait has been too long for; given their numbers, if they are known.
  typealias Inquiry = @Sendable ([Int]?) -> Verdict

  private let waited = Atomic<UInt64>(0)
  private let deadlineNanoseconds: Atomic<UInt64>
  private let published = Mutex<Published?>(nil)
  private let inquiry = Mutex<Inquiry?>(nil)
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

  /// Seconds that this rank has spent waiting, since the start.
  package var waitSeconds: Double { Double(waited.load(ordering: .relaxed)) * 1e-9 }

  /// Seconds after which a wait fails.
  package var deadline: Double {
    get { Double(deadlineNanoseconds.load(ordering: .relaxed)) * 1e-9 }
    set { deadlineNanoseconds.store(nanoseconds(max(newValue, 0)), ordering: .relaxed) }
  }

  /// A wait that lasts too long is looked into by this, and goes on, ten times as long at most, while those that it
  /// waits for work.
  func inquire(by inquiry: Inquiry?) { self.inquiry.withLock { $0 = inquiry } }

  /// What this rank waits for now, as others are told.
  var currentWait: RankReport.Wait? {
    published.withLock { $0 }.map {
      RankReport.Wait(purpose: $0.purpose, seconds: Self.seconds(since: $0.since), peers: $0.peers)
    }
  }

  /// Seconds since a time of the clock in which stops do not count.
  private static func seconds(since start: UInt64) -> Double {
    Double(elapsed(since: start)) * 1e-9
  }

  private static func elapsed(since start: UInt64) -> UInt64 {
    let now = AwakeClock.nanoseconds
    return now > start ? now - start : 0
  }

  /// What this rank waits for now, if it has waited for more than an instant.
  package var waiting: Waiting? {
    published.withLock { $0 }.map {
      Waiting(purpose: $0.purpose, seconds: Self.seconds(since: $0.since))
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
    let (start, first) = (Clock.nanoseconds, AwakeClock.nanoseconds)
    var extended: UInt64 = 0
    var isPublished = false
    defer {
      waited.add(Clock.nanoseconds - start, ordering: .relaxed)
      if isPublished {
        // What follows begins now: the time of the wait is none in which this rank stood still.
        Phase.beat()
        published.withLock { $0 = nil }
      }
    }
    while true {
      do { try poll() } catch let error as MessagePassingError { throw error } catch {
        throw .interrupted(purpose: purpose(), by: error)
      }
      if try operation.test() { return }
      let elapsed = Clock.nanoseconds - start
      let deadline = deadlineNanoseconds.load(ordering: .relaxed)
      if elapsed > deadline, Self.elapsed(since: first) > deadline + extended {
        try look(into: operation, purpose(), since: first, deadline: deadline)
        extended += deadline / 4 + 1_000_000
      }
      if !isPublished, elapsed > 100_000 {
        let text = Published(purpose: purpose(), since: first, peers: operation.peers)
        published.withLock { $0 = text }
        isPublished = true
      }
      operation.pause(after: elapsed)
    }
  }

  /// Looks into a wait that has lasted too long.
  ///
  /// - Throws: `MessagePassingError.deadline`, unless those that it waits for work.
  private func look(
    into operation: any PendingOperation, _ purpose: String, since first: UInt64, deadline: UInt64
  ) throws(MessagePassingError) {
    let seconds = Self.seconds(since: first)
    guard let inquiry = inquiry.withLock({ $0 }) else {
      throw .deadline(purpose: purpose, seconds: seconds)
    }
    // A process that was stopped takes a moment to find out for how long.
    usleep(UInt32(min(1.1, 1e-10 * Double(deadline) + 0.1) * 1e6))
    if try operation.test() || Self.elapsed(since: first) < deadline { return }
    switch inquiry(operation.peers) {
    case .end(let culprit):
      // Asking took a while, in which what was late may have come, as it does after a stop of all ranks.
      if try operation.test() || Self.elapsed(since: first) < deadline { return }
      throw .deadline(purpose: purpose, seconds: seconds, culprit: culprit)
    case .waitOn:
      guard Self.elapsed(since: first) > 10 * deadline else { return }
      throw .deadline(
        purpose: purpose, seconds: seconds,
        culprit: "all that it waits for work, but ten times too long")
    }
  }
}

/// Seconds as nanoseconds, a century at most.
private func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min(seconds, 3e9) * 1e9) }
