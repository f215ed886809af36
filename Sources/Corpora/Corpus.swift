/// Where the tokens of a step come from.
///
/// What a step holds is a pure function of the corpus's seed and the step: not of the ranks, nor of
/// what was read before. A rank asks for the rows and positions that it trains on and reads no others.
package protocol Corpus: Sendable {
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
  /// Bytes of text that each target of a batch stands for, shape `[rows, positions]`, 0 where there is none; nil where nobody
  /// knows.
  ///
  /// - Parameters:
  ///   - batch: As `fill` left it.
  ///   - step: The step that it was filled with.
  /// - Throws: `CorpusError` when the disk fails.
  func targetBytes(_ batch: TokenBatch, step: Int) throws(CorpusError) -> [Int32]?
}

extension Corpus {
  /// One a target where tokens are bytes.
  package func targetBytes(_ batch: TokenBatch, step: Int) throws(CorpusError) -> [Int32]? {
    tokensAreBytes ? batch.targets.map { $0 >= 0 ? 1 : 0 } : nil
  }
}

/// A corpus to train on, which keeps a part for evaluation.
package protocol TrainingCorpus: Corpus {
  /// Sequences that are never trained on; nil when nothing is kept.
  var heldOut: (any Corpus)? { get }
  /// What there is to train on; nil for what is made as it is asked for.
  var extent: CorpusExtent? { get }
  /// Whether each row of a step goes on where the same row of the step before ended, so that its state is
  /// carried.
  ///
  /// - Parameter step: The step, from 0; step 0 never goes on.
  func continues(step: Int) -> Bool
}

/// How much a corpus of files holds.
package struct CorpusExtent: Sendable, Equatable {
  /// Tokens to train on, of all files, and bytes of each.
  package let tokens, tokenBytes: Int
  /// Tokens that are kept for evaluation.
  package let heldOut: Int
}

extension TrainingCorpus {
  /// Nil: it is made as it is asked for.
  package var extent: CorpusExtent? { nil }

  /// No: every sequence begins with nothing known.
  package func continues(step: Int) -> Bool { false }
}
