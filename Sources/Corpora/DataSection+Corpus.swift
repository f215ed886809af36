extension DataSection {
  /// The corpus that the section describes: its files, or the task where it names none.
  ///
  /// - Parameters:
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step, over the whole world.
  ///   - seed: The run's seed.
  ///   - vocabulary: The model's, to check the files against; 0 for the section's own.
  /// - Throws: `CorpusError` when the data is missing, unreadable or does not fit.
  public func makeCorpus(
    length: Int, batch: Int, seed: UInt64, vocabulary: Int = 0
  ) throws(CorpusError) -> any TrainingCorpus {
    guard !path.isEmpty else {
      return try RecallTask(
        keys: recallKeys, values: recallValues, pairFraction: recallKeyFraction,
        queryDensity: recallQueryFraction, length: length, batch: batch, seed: seed)
    }
    var files: [(file: TokenFile, weight: Double)] = []
    for path in path {
      files.append((try TokenFile(path: path.path, tokenBytes: tokenBytes), path.weight))
    }
    return try TextCorpus(
      files: files, length: length, batch: batch, seed: seed, heldOut: heldOut,
      vocabulary: vocabulary > 0 ? vocabulary : self.vocabulary)
  }
}
