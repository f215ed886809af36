import ReferenceMath

/// A case whose tokens are cut over ranks, and whose results are compared rank by rank.
protocol ShardedCase {
  /// Tokens of each rank.
  var shards: [Int] { get }
}

extension RecurrenceCase: ShardedCase {}

extension ShardedCase {
  /// Where a rank's results are further from the right ones than allowed, or are not there.
  ///
  /// Errors are relative to the L2 norm of the rank's part, or to what would be its share of the whole
  /// tensor's norm where that is more: of a shard of one token all terms may cancel.
  func problems(
    _ results: [RecurrenceResult], _ expected: ExpectedRecurrence, tolerance: Double
  ) -> [String] {
    var problems: [String] = []
    func compare(
      _ name: String, rank: Int, _ actual: [Float]?, _ right: [Double], whole: [Double]
    ) {
      guard let actual, actual.count == right.count else {
        problems.append("\(name) of rank \(rank) has \(actual?.count ?? 0) of \(right.count)")
        return
      }
      let meanSquare = whole.reduce(0) { $0 + $1 * $1 } / Double(max(whole.count, 1))
      let share = (meanSquare * Double(right.count)).squareRoot()
      let error = relativeError(actual, right, normAtLeast: share)
      if !(error <= tolerance) { problems.append("\(name) of rank \(rank) is off by \(error)") }
    }
    var first = 0
    for (rank, result) in results.enumerated() {
      let shard = first..<first + shards[rank]
      first = shard.upperBound
      for (name, matrices) in expected.ofTokens where matrices[0].columns > 0 {
        compare(
          name, rank: rank, result.ofTokens[name], matrices.flatMap { $0.rows(shard).numbers },
          whole: matrices.flatMap(\.numbers))
      }
      for (name, holder) in [("dInitial", 0), ("final", results.count - 1)] where rank == holder {
        let states = expected.ofStates[name]!
        compare(name, rank: rank, result.ofStates[name], states, whole: states)
      }
    }
    return problems
  }
}
