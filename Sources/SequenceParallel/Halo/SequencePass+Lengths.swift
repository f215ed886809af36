import Tensors

/// How much of a carry each row sees: rows differ, since documents end anywhere.
extension SequencePass {
  /// How many tokens came before the sequence in each row, as the first rank knows; elsewhere 0.
  ///
  /// - Parameters:
  ///   - columns: Numbers of a token.
  ///   - most: The most tokens that may have come before, by the layout.
  func leftLengths(_ slot: CarrySlot, columns: Int, atMost most: Int) -> [Int] {
    guard layout.rank == 0, let left = left.values[slot] else {
      return [Int](repeating: 0, count: layout.rows)
    }
    let tokens = left.shape[1]
    precondition(
      tokens <= most && left.shape == [layout.rows, tokens, columns],
      "a carry \(left.shape) before position \(layout.start), where \(layout.rows) rows of at most "
        + "\(most) tokens of \(columns) numbers can come")
    let lengths = CarrySlot(layer: slot.layer, .windowLengths)
    let all = [Int](repeating: tokens, count: layout.rows)
    guard slot.content == .window, let counts = self.left.values[lengths] else { return all }
    return context.workspace.known(assuming: all) {
      (0..<layout.rows).map { counts.pointer[$0].countInBits }
    }
  }

  /// Tells how many tokens of the layer's window in `right` each row sees.
  func setRightLengths(_ lengths: [Int], layer: Int) {
    let workspace = context.workspace
    let counts = Tensor([layout.rows], pool: workspace.pool)
    workspace.compute(.other) {
      for (row, length) in lengths.enumerated() {
        counts.pointer[row] = Float(countBits: length)
      }
    }
    right.values[CarrySlot(layer: layer, .windowLengths)] = counts
  }
}
