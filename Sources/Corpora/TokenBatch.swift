/// One rank's tokens of a step: some rows of the step's sequences, and of each the same positions.
///
/// Filling it again allocates nothing.
package struct TokenBatch: Sendable {
  /// Which of the step's sequences.
  package let rows: Range<Int>
  /// Which positions of each: this rank's shard.
  package let positions: Range<Int>
  /// The tokens read, shape `[rows, positions]`.
  package internal(set) var inputs: [Int32]
  /// The tokens to predict, already shifted, shape `[rows, positions]`; −1 where there is no loss.
  package internal(set) var targets: [Int32]
  /// Where the answer to each target stands: its position in the sequence, shape `[rows, positions]`.
  ///
  /// −1 where there is no target. Empty when the corpus does not know.
  package internal(set) var origins: [Int32]
  /// For each row the positions in the whole sequence at which a document begins, ascending; 0 is not
  /// among them unless the sequence begins with a new document.
  package internal(set) var documentStarts: [[Int]]

  /// Makes room for the tokens of a shard.
  ///
  /// - Parameters:
  ///   - rows: Which of the step's sequences, within `0..<corpus.batch`.
  ///   - positions: Which positions of each, within `0..<corpus.length`; may be empty.
  package init(rows: Range<Int>, positions: Range<Int>) {
    self.rows = rows
    self.positions = positions
    inputs = Array(repeating: 0, count: rows.count * positions.count)
    targets = inputs
    origins = []
    documentStarts = Array(repeating: [], count: rows.count)
  }

  /// Checks that the batch lies within a corpus's steps.
  func check(_ corpus: some Corpus) {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= corpus.batch,
      "rows \(rows) of a step of \(corpus.batch) sequences")
    precondition(
      positions.lowerBound >= 0 && positions.upperBound <= corpus.length,
      "positions \(positions) of a sequence of \(corpus.length) tokens")
  }

  /// Overwrites tokens, targets and document starts row by row.
  ///
  /// - Parameter fill: Gets a row, and the room for its inputs and targets; gives its document starts.
  mutating func fillRows(
    _ fill: (Int, UnsafeMutableBufferPointer<Int32>, UnsafeMutableBufferPointer<Int32>)
      throws(CorpusError) -> [Int]
  ) throws(CorpusError) {
    for (place, row) in rows.enumerated() {
      let here = place * positions.count..<(place + 1) * positions.count
      documentStarts[place] = try inputs.withUnsafeMutableBufferPointer {
        inputs throws(CorpusError) in
        try targets.withUnsafeMutableBufferPointer { targets throws(CorpusError) in
          try fill(
            row, UnsafeMutableBufferPointer(rebasing: inputs[here]),
            UnsafeMutableBufferPointer(rebasing: targets[here]))
        }
      }
    }
  }
}
