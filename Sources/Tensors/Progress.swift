/// The sources of messages that a rank moves on while it computes.
///
/// Each source adds itself and is polled until it removes itself; nobody replaces another's poll. All are polled
/// by the thread that computes, in the order in which they were added.
package final class Progress {
  private struct Source {
    let number: Int
    let hasPeers: Bool
    let poll: () throws -> Void
  }

  private var sources: [Source] = []
  private var added = 0
  private let isRehearsal: Bool

  init(rehearsal: Bool) { isRehearsal = rehearsal }

  /// A source's place among those that are polled; it is removed when its last reference goes.
  package final class Registration {
    private let progress: Progress
    private let number: Int

    fileprivate init(_ progress: Progress, number: Int) {
      (self.progress, self.number) = (progress, number)
    }

    deinit { remove() }

    /// Removes the source, if it is still there.
    package func remove() { progress.sources.removeAll { $0.number == number } }
  }

  /// Adds a source.
  ///
  /// - Parameters:
  ///   - hasPeers: Whether other ranks send to it or receive from it while this one computes.
  ///   - movesWhenWaitedFor: Whether a rehearsal, in which nothing takes time, leaves the source to those who wait
  ///     for it: so it holds its messages as long, and as much memory, as it ever may.
  ///   - poll: Lets its messages move on; must not hold what holds the registration.
  /// - Returns: What keeps the source; whoever owns the source holds it.
  package func add(
    hasPeers: Bool, movesWhenWaitedFor: Bool = false, _ poll: @escaping () throws -> Void
  ) -> Registration {
    added += 1
    let isLeft = isRehearsal && movesWhenWaitedFor
    sources.append(Source(number: added, hasPeers: hasPeers, poll: isLeft ? {} : poll))
    return Registration(self, number: added)
  }

  /// Whether a source has peers.
  var hasPeers: Bool { sources.contains { $0.hasPeers } }

  /// Lets the messages of all sources move on.
  ///
  /// - Throws: The first error that a source met; the others are polled all the same.
  func poll() throws {
    var failure: (any Error)?
    for source in sources {
      do { try source.poll() } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }
}
