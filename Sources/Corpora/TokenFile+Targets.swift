extension TokenFile {
  /// Where a file may end so that a number of its tokens are predicted: those that begin documents, or that a mask or
  /// labels leave out, are not among them.
  ///
  /// - Parameters:
  ///   - targets: How many, at least 1; `Int.max` for all, without reading the file.
  ///   - vocabulary: Number of different tokens.
  /// - Returns: How many tokens are read or predicted, from the first on, and how many of them are predicted: fewer than was
  ///   asked for where the file has no more.
  /// - Throws: `CorpusError` as where windows are read.
  package func end(
    ofTargets targets: Int, vocabulary: Int
  ) throws(CorpusError) -> (end: Int, targets: Int) {
    precondition(targets > 0, "\(targets) tokens to predict")
    // The first token is predicted by nothing, but where labels stand beside it.
    let first = labels == nil ? 1 : 0
    guard targets < .max, documents != nil || lossMask != nil || labels != nil else {
      return targets < count - first ? (targets + first, targets) : (count, count - first)
    }
    let piece = 1 << 16
    let windows = SequentialWindows(
      [(self, 0..<count)], length: piece, batch: 1, vocabulary: vocabulary)
    var batch = TokenBatch(rows: 0..<1, positions: 0..<piece)
    var left = targets
    for window in 0..<windows.windows {
      try windows.fill(&batch, step: window)
      for (index, target) in batch.targets.enumerated() where target >= 0 {
        left -= 1
        if left == 0 { return (window * piece + index + 1 + first, targets) }
      }
    }
    return (count, targets - left)
  }
}
