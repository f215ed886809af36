import Tensors

/// Recurrences whose channels do not meet: groups of channels are what threads share, each for all rows of a shard.
struct ChannelGroups {
  let workspace: Workspace
  /// How many groups there are.
  let count: Int
  /// About how many floating-point operations a group takes.
  let operations: Int

  /// Works on every group over all threads, and lets messages move on after some of them.
  ///
  /// - Parameter body: Has the index of its thread, for scratch of its own.
  func each(_ body: @Sendable (_ thread: Int, _ groups: Range<Int>) -> Void) throws {
    try workspace.run {
      try workspace.inBatches(count, operations: operations, atLeast: workspace.team.size) {
        batch in
        workspace.team.parallel(batch.count) { thread, part in
          body(thread, batch.lowerBound + part.lowerBound..<batch.lowerBound + part.upperBound)
        }
      }
    }
  }
}

extension ShardWork {
  /// Nothing: all results depend on the entering state.
  func intra(_ transfer: any StateTransfer) throws {}
}
