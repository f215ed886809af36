/// Where the tokens of a step come from.
///
/// What a step holds is a pure function of the corpus's seed and the step: not of the ranks, nor of
/// what was read before. A rank asks for the rows and positions that it trains on and reads no others.
public protocol Corpus: Sendable {
  /// Number of different tokens: each is in `0..<vocabulary`.
  var vocabulary: Int { get }
  /// Tokens of a sequence.
  var length: Int { get }
  /// Sequences of a step, over the whole world.
  var batch: Int { get }
  /// Steps until the corpus has been read once; nil when it has no end.
  var steps: Int? { get }
  /// Whether a token is a byte, so that a loss can be given in bits per byte.
  var tokensAreBytes: Bool { get }
  /// Overwrites a batch's tokens with those of a step.
  ///
  /// - Parameters:
  ///   - batch: Which rows and positions are wanted, and the room for them.
  ///   - step: The step, from 0.
  /// - Throws: `CorpusError` where the data that is read is faulty: a token beyond the vocabulary, or no
  ///   loss mask.
  func fill(_ batch: inout TokenBatch, step: Int) throws(CorpusError)
}

/// A corpus to train on, which keeps a part for evaluation.
public protocol TrainingCorpus: Corpus {
  /// Sequences that are never trained on; nil when nothing is kept.
  var heldOut: (any Corpus)? { get }
  /// Whether each row of a step goes on where the same row of the step before ended, so that its state is
  /// carried.
  ///
  /// - Parameter step: The step, from 0; step 0 never goes on.
  func continues(step: Int) -> Bool
}

extension TrainingCorpus {
  /// No: every sequence begins with nothing known.
  public func continues(step: Int) -> Bool { false }
}

/// One rank's tokens of a step: some rows of the step's sequences, and of each the same positions.
///
/// Filling it again allocates nothing.
public struct TokenBatch: Sendable {
  /// Which of the step's sequences.
  public let rows: Range<Int>
  /// Which positions of each: this rank's shard.
  public let positions: Range<Int>
  /// The tokens read, shape `[rows, positions]`.
  public internal(set) var inputs: [Int32]
  /// The tokens to predict, already shifted, shape `[rows, positions]`; −1 where there is no loss.
  public internal(set) var targets: [Int32]
  /// Where the answer to each target stands: its position in the sequence, shape `[rows, positions]`.
  ///
  /// −1 where there is no target. Empty when the corpus does not know.
  public internal(set) var origins: [Int32]
  /// For each row the positions in the whole sequence at which a document begins, ascending; 0 is not
  /// among them unless the sequence begins with a new document.
  public internal(set) var documentStarts: [[Int]]

  /// Makes room for the tokens of a shard.
  ///
  /// - Parameters:
  ///   - rows: Which of the step's sequences, within `0..<corpus.batch`.
  ///   - positions: Which positions of each, within `0..<corpus.length`; may be empty.
  public init(rows: Range<Int>, positions: Range<Int>) {
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
