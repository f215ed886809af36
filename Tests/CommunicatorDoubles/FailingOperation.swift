import MessagePassing

/// An operation whose test fails once, and that counts as done ever after: as a request of MPI's does.
///
/// A thread's rank tests it, no two at once.
package final class FailingOperation: PendingOperation, @unchecked Sendable {
  package static let name = "MPI_Test"

  package let watch: Watch
  private var inner: Request?
  private var hasFailed = false

  /// - Parameter inner: What is under way until it fails; it fails at once where nil.
  package init(_ inner: consuming Request? = nil, watch: Watch = Watch(worldRank: 0)) {
    self.watch = watch
    self.inner = consume inner
  }

  package func test() throws(MessagePassingError) -> Bool {
    guard !hasFailed else { return true }
    if inner != nil {
      guard try inner!.test() else { return false }
    }
    hasFailed = true
    throw .library(call: Self.name, message: "the wire is cut")
  }

  package func pause(after elapsed: UInt64) {}

  package func cancel() { inner = nil }
}
