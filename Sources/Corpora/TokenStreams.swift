/// One file read as as many parallel streams as a step has sequences, so that documents longer than a
/// sequence go on from step to step.
///
/// Concretely: the training tokens `[0, n)` are cut into `batch` equal streams. Row `j` of step `s` holds
/// the tokens `[w·length, (w + 1)·length)` of stream `j`, with `w = s mod windows`: it goes on where row `j`
/// of the step before ended, except where `w = 0`, at the stream's beginning. Of a stream the fewer than
/// `length` tokens after its last whole window are not used.
public struct TokenStreams: TrainingCorpus {
  /// Number of different tokens.
  public let vocabulary: Int
  /// Tokens of a sequence.
  public let length: Int
  /// Sequences of a step: streams.
  public let batch: Int
  /// Nil: the streams begin again.
  public var steps: Int? { nil }
  /// Whether the tokens are bytes of text.
  public var tokensAreBytes: Bool { file.tokenBytes == 1 }
  /// The held-out part of the file, read from start to end; nil when it holds no window.
  public let heldOut: (any Corpus)?
  /// Steps until the streams begin again.
  public let windows: Int
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
  /// - Throws: `CorpusError` when a stream is too short, or the file has a token or separator beyond the
  ///   vocabulary.
  public init(
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
    self.heldOut = text.heldOut
    (self.file, self.length, self.batch) = (file, length, batch)
  }

  /// Whether the sequences of a step go on where those of the step before ended.
  public func continues(step: Int) -> Bool { step % windows > 0 }

  /// Overwrites a batch's tokens with those of a step.
  public func fill(_ batch: inout TokenBatch, step: Int) {
    batch.check(self)
    let (rows, positions) = (batch.rows, batch.positions)
    func start(_ row: Int) -> Int { row * stream + step % windows * length }
    batch.inputs.withUnsafeMutableBufferPointer { inputs in
      batch.targets.withUnsafeMutableBufferPointer { targets in
        guard let inputs = inputs.baseAddress, let targets = targets.baseAddress else { return }
        for (place, row) in rows.enumerated() {
          file.readWindow(
            at: start(row), positions: positions, end: (row + 1) * stream,
            inputs: inputs + place * positions.count, targets: targets + place * positions.count)
        }
      }
    }
    for (place, row) in rows.enumerated() {
      let start = start(row)
      let isFresh = file.documents != nil && !continues(step: step)
      let first = isFresh ? [0] : []
      let window = (isFresh ? start + 1 : start)..<start + length
      batch.documentStarts[place] = first + file.documentStarts(in: window).map { $0 - start }
    }
  }
}
