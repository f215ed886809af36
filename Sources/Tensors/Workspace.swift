import Measurement

/// What every computation of a rank uses: memory, threads, and a way to let communication progress.
///
/// It is passed explicitly; there are no globals.
public final class Workspace: @unchecked Sendable {
  /// Where tensors and scratch come from.
  public let pool: BufferPool
  /// The rank's threads.
  public let team: ThreadTeam
  /// The rank's figures.
  public let counters = Counters()
  /// Called now and then by long operations, so that messages under way move on: Open MPI progresses only
  /// when it is called. What it does never changes the order of arithmetic.
  public var poll: () throws -> Void = {}

  /// Makes a workspace with threads of its own.
  public init(threads: Int = 1) {
    pool = BufferPool()
    team = ThreadTeam(size: threads)
  }
}
