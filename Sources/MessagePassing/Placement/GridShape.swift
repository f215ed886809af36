/// How many ranks the grid has on each axis, and where each rank stands in it.
///
/// Concretely: `sequence × data = ranks`, and rank r is number `r mod sequence` of the sequence group
/// `r ÷ sequence`: the ranks of a sequence group are contiguous.
package struct GridShape: Sendable, Equatable {
  /// Ranks that share a sequence.
  package let sequence: Int
  /// Sequence groups, which hold different sequences.
  package let data: Int

  /// Number of ranks.
  package var ranks: Int { sequence * data }

  /// Fits a grid to a number of ranks.
  ///
  /// - Parameters:
  ///   - ranks: All ranks of the world.
  ///   - sequence: Ranks that share a sequence; 0 for all that `data` leaves.
  ///   - data: Groups that hold different sequences; 0 for what `sequence` leaves, or for 1 if that is 0
  ///     too.
  /// - Throws: `MessagePassingError.grid`, with the equation that does not hold.
  package init(ranks: Int, sequence: Int = 0, data: Int = 0) throws(MessagePassingError) {
    precondition(ranks >= 1, "a world of \(ranks) ranks")
    let given = (sequence, data)
    let wrong: String? =
      switch given {
      case _ where sequence < 0 || data < 0:
        "parallel.data \(data) × parallel.sequence \(sequence) has a negative factor"
      case (0, 0): nil
      case (_, 0) where ranks % sequence != 0:
        "parallel.sequence \(sequence) × a whole number of groups cannot be \(ranks) ranks, "
          + "which is what was started"
      case (0, _) where ranks % data != 0:
        "parallel.data \(data) × a whole number of ranks cannot be \(ranks) ranks, "
          + "which is what was started"
      case (1..., 1...) where sequence * data != ranks:
        "parallel.data \(data) × parallel.sequence \(sequence) = \(sequence * data) ranks, "
          + "but \(ranks) were started"
      default: nil
      }
    if let wrong {
      throw .grid(
        "\(wrong); choose two numbers whose product is \(ranks), or leave one out, "
          + "or start another number of ranks")
    }
    self.data = data > 0 ? data : sequence > 0 ? ranks / sequence : 1
    self.sequence = sequence > 0 ? sequence : ranks / self.data
  }

  /// Where a rank stands in its sequence, in `0..<sequence`.
  package func sequenceIndex(of rank: Int) -> Int { rank % sequence }

  /// The sequence group that a rank belongs to, in `0..<data`.
  package func dataIndex(of rank: Int) -> Int { rank / sequence }
}
