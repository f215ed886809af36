import Tensors

/// Random tokens without meaning: for measuring speed.
package struct SyntheticTokens: TrainingCorpus {
  /// Number of different tokens.
  package let vocabulary: Int
  /// Tokens of a sequence.
  package let length: Int
  /// Sequences of a step.
  package let batch: Int
  private let random: Random

  /// Nil: there is always another sequence.
  package var steps: Int? { nil }
  package var tokensAreBytes: Bool { false }
  /// Nothing is worth evaluating.
  package var heldOut: (any Corpus)? { nil }

  /// Makes a corpus in which every token is equally likely.
  package init(vocabulary: Int, length: Int, batch: Int, seed: UInt64) {
    (self.vocabulary, self.length, self.batch) = (vocabulary, length, batch)
    random = Random(seed: seed, purpose: 0x5e7)
  }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) {
    batch.check(self)
    let width = batch.positions.count
    for (place, row) in batch.rows.enumerated() {
      let first = (step * self.batch + row) * (length + 1)
      for (index, position) in batch.positions.enumerated() {
        batch.inputs[place * width + index] = token(first + position)
        batch.targets[place * width + index] = token(first + position + 1)
      }
    }
  }

  private func token(_ index: Int) -> Int32 {
    Int32(random.integer(below: vocabulary, at: UInt64(index)))
  }
}
