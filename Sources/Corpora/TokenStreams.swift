/// One file read as as many parallel streams as a step has sequences, so that documents longer than a
/// sequence go on from step to step.
///
/// Concretely: the training tokens `[0, n)` are cut into `batch` equal streams. Row `j` of step `s` holds
/// the tokens `[w·length, (w + 1)·length)` of stream `j`, with `w = s mod windows`: it goes on where row `j`
/// of the step before ended, except where `w = 0`, at the stream's beginning. Of a stream the fewer than
/// `length` tokens after its last whole window are not used.
package struct TokenStreams: TrainingCorpus {
  /// Number of different tokens.
  package let vocabulary: Int
  /// Tokens of a sequence.
  package let length: Int
  /// Sequences of a step: streams.
  package let batch: Int
  /// Nil: the streams begin again.
  package var steps: Int? { nil }
  /// Whether the tokens are bytes of text.
  package var tokensAreBytes: Bool { file.predictsBytes }
  /// The held-out part of the file, read from start to end; nil when it holds no window.
  package let heldOut: (any Corpus)?
  /// The file.
  package let extent: CorpusExtent?
  /// Steps until the streams begin again.
  package let windows: Int
  private let file: TokenFile
  private let stream: Int

  /// Cuts a file into streams.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - heldOut: Share of the file, at its end, that is only evaluated.
  ///   - vocabulary: Number of different tokens; 0 for 256 with bytes, else for what the file holds.
  /// - Throws: `CorpusError` when a stream is too short, or the file has a separator beyond the vocabulary.
  package init(
    file: TokenFile, length: Int, batch: Int, heldOut: Double, vocabulary: Int = 0
  ) throws(CorpusError) {
    // What can be wrong with the file, and its held-out part, are those of windows drawn at random.
    let text = try TextCorpus(
      files: [(file, 1)], length: length, batch: batch, seed: 0, heldOut: heldOut,
      vocabulary: vocabulary)
    let tokens = file.count - Int(Double(file.count) * heldOut)
    stream = tokens / batch
    windows = (stream - 1) / length
    guard windows > 0 else {
      throw .streamTooShort(path: file.path, tokens: tokens, streams: batch, length: length)
    }
    self.vocabulary = text.vocabulary
    (self.heldOut, extent) = (text.heldOut, text.extent)
    (self.file, self.length, self.batch) = (file, length, batch)
  }

  /// Whether the sequences of a step go on where those of the step before ended.
  package func continues(step: Int) -> Bool { step % windows > 0 }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) throws(CorpusError) {
    batch.check(self)
    let positions = batch.positions
    let isFresh = file.documents != nil && !continues(step: step)
    try batch.fillRows { row, inputs, targets throws(CorpusError) in
      let start = row * stream + step % windows * length
      try file.readWindow(
        at: start, positions: positions, end: (row + 1) * stream, vocabulary: vocabulary,
        inputs: inputs, targets: targets)
      let window = (isFresh ? start + 1 : start)..<start + length
      return (isFresh ? [0] : []) + (try file.documentStarts(in: window)).map { $0 - start }
    }
  }
}
