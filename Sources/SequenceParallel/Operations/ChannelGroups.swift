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

/// Sums of channels along time, each row of a state as long as a token's: where numbers lie, and who works on them.
extension SequencePass {
  /// Works on all rows, some channels a thread, on the account of norms and gates.
  func eachRow(channels: Int, _ body: @Sendable (_ row: Int, _ channels: Range<Int>) -> Void) {
    let workspace = context.workspace
    workspace.compute(.normsAndGates) {
      for row in 0..<layout.rows {
        workspace.team.parallel(channels, grain: max(16, (1 << 15) / max(layout.length, 1))) {
          body(row, $0)
        }
      }
    }
  }

  /// A row's tokens in `[N, C]`.
  func tokens(_ tensor: Tensor?, _ row: Int) -> UnsafeMutablePointer<Float>? {
    tensor.map { $0.pointer + row * layout.length * $0.shape.columns }
  }

  /// A row's part of the states of all rows.
  func state(_ tensor: Tensor?, _ row: Int) -> UnsafeMutablePointer<Float>? {
    tensor.map { $0.pointer + row * ($0.count / layout.rows) }
  }
}
