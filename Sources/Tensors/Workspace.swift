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
  /// Called now and then by long operations, so that messages under way move on.
  ///
  /// Open MPI progresses only when it is called. What it does never changes the order of
  /// arithmetic.
  public var poll: () throws -> Void = {}

  /// Whether other ranks send and receive while this one computes, so that long operations should poll.
  public var hasPeers = false
  /// Whether this workspace only rehearses: memory is reserved and messages are counted as in a
  /// real step, but nothing is computed.
  ///
  /// It is what the dry run's figures come from.
  public let isRehearsal: Bool

  /// Makes a workspace with threads of its own.
  public init(threads: Int = 1, rehearsal: Bool = false) {
    isRehearsal = rehearsal
    pool = BufferPool(reserving: rehearsal)
    team = ThreadTeam(size: rehearsal ? 1 : threads)
  }

  /// Computes something on the account of a part; a rehearsal leaves it out.
  @inline(__always)
  public func compute<Failure: Error>(
    _ part: Part, _ body: () throws(Failure) -> Void
  ) throws(Failure) {
    guard !isRehearsal else { return }
    counters.enter(part)
    defer { counters.leave() }
    try body()
  }
}
