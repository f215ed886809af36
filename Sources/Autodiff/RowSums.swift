import Tensors

/// Sums over rows, such as the gradient of a weight that every token reads, whose bits do not depend on the threads.
///
/// Concretely: fixed blocks of rows are summed, each by one thread, and the blocks' sums are added in their order. What
/// a long sum adds up stays of one size, so it also loses fewer digits than one row after another.
struct RowSums: Sendable {
  /// Rows that are summed in one go.
  static let blockRows = 128

  private let rows, width: Int
  private let sums: Tensor
  private let team: ThreadTeam

  /// Takes memory, so call it outside `Workspace.compute`, which a rehearsal leaves out.
  ///
  /// - Parameters:
  ///   - rows: How many rows there are.
  ///   - width: How many numbers are summed of each.
  init(rows: Int, width: Int, workspace: Workspace) {
    (self.rows, self.width, team) = (rows, width, workspace.team)
    let blocks = (rows + Self.blockRows - 1) / Self.blockRows
    sums = Tensor([blocks, width], pool: workspace.pool, kind: .buffers)
  }

  /// Adds the sum over all rows to `targets`, which lie side by side in the sums.
  ///
  /// - Parameters:
  ///   - targets: Where the sums go (nil: nowhere), and how many numbers each takes; together `width`.
  ///   - body: Adds its rows to `width` sums; it has the index of its thread, for scratch of its own.
  func add(
    to targets: [(target: UnsafeMutablePointer<Float>?, count: Int)],
    _ body:
      @Sendable (_ thread: Int, _ rows: Range<Int>, _ sums: UnsafeMutablePointer<Float>) -> Void
  ) {
    sums.clear()
    let blocks = sums.shape[0]
    team.parallel(blocks) { thread, range in
      for block in range {
        let first = block * Self.blockRows
        body(thread, first..<min(first + Self.blockRows, rows), sums.pointer + block * width)
      }
    }
    for block in 0..<blocks {
      var more = sums.pointer + block * width
      for (target, count) in targets {
        if let target {
          for i in 0..<count { target[i] += more[i] }
        }
        more += count
      }
    }
  }
}
