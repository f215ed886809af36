import Tensors

/// Windows drawn at random from one or several files, each window once an epoch.
///
/// Concretely: a file's training tokens `[0, n)` are cut into windows of `length + 1` tokens, each
/// beginning at the last token of the one before, after an offset of fewer than `length` tokens that
/// changes with the epoch. An epoch's windows come in a random order of its own. Sample `s` of the run
/// (`step · batch + row`) belongs to a file by the weights, as `Mixture` says. Where a file has documents,
/// every window begins one: nothing is known of what came before.
package struct TextCorpus: TrainingCorpus {
  /// Number of different tokens.
  package let vocabulary: Int
  /// Tokens of a sequence.
  package let length: Int
  /// Sequences of a step.
  package let batch: Int
  /// Nil: there is always another epoch.
  package var steps: Int? { nil }
  /// Whether the tokens are bytes of text.
  package let tokensAreBytes: Bool
  /// The held-out part of every file, read from start to end; nil when it holds no window.
  package let heldOut: (any Corpus)?

  /// All files together.
  package let extent: CorpusExtent?

  /// One file and its training part.
  private struct Source {
    let file: TokenFile
    let tokens: Int
    let windows: Int
  }

  private let sources: [Source]
  private let mixture: Mixture
  private let seed: UInt64

  /// Prepares files; reads them only if their vocabulary must be found.
  ///
  /// - Parameters:
  ///   - files: Files and their weights, above 0; only the ratios matter.
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - seed: The run's seed.
  ///   - heldOut: Share of each file, at its end, that is only evaluated.
  ///   - vocabulary: Number of different tokens; 0 for 256 with bytes, else for what the files hold.
  /// - Throws: `CorpusError` when a file is too short, has tokens of another width than the first, or has
  ///   a separator beyond the vocabulary.
  package init(
    files: [(file: TokenFile, weight: Double)], length: Int, batch: Int, seed: UInt64,
    heldOut: Double, vocabulary: Int = 0
  ) throws(CorpusError) {
    precondition(!files.isEmpty && files.allSatisfy { $0.weight > 0 }, "files need weights above 0")
    precondition(length > 0 && batch > 0, "\(batch) sequences of \(length) tokens")
    precondition((0..<1).contains(heldOut), "a held-out share of \(heldOut)")
    var sources: [Source] = []
    var kept: [(file: TokenFile, range: Range<Int>)] = []
    for (file, _) in files {
      let first = files[0].file
      guard file.tokenBytes == first.tokenBytes else {
        throw .mixedTokens(
          path: first.path, tokenBytes: first.tokenBytes, otherPath: file.path,
          otherBytes: file.tokenBytes)
      }
      let tokens = file.count - Int(Double(file.count) * heldOut)
      guard tokens > length else {
        throw .tooShort(
          path: file.path, tokens: file.count, heldOut: file.count - tokens, length: length)
      }
      sources.append(
        Source(file: file, tokens: tokens, windows: max(1, (tokens - length) / length)))
      kept.append((file, tokens..<file.count))
    }
    var needed = vocabulary
    if vocabulary == 0 {
      for (file, _) in files { needed = max(needed, try file.vocabulary(part: 0, of: 1)) }
    }
    self.vocabulary = needed
    for (file, _) in files {
      if case .separator(let token) = file.documents, token >= self.vocabulary {
        throw .separatorBeyond(path: file.path, token: Int(token), vocabulary: self.vocabulary)
      }
    }
    self.length = length
    self.batch = batch
    self.seed = seed
    self.sources = sources
    let trained = sources.reduce(0) { $0 + $1.tokens }
    extent = CorpusExtent(
      tokens: trained, tokenBytes: files[0].file.tokenBytes,
      heldOut: files.reduce(0) { $0 + $1.file.count } - trained)
    mixture = Mixture(weights: files.map(\.weight), seed: seed)
    tokensAreBytes = files[0].file.predictsBytes
    let evaluation = SequentialWindows(
      kept, length: length, batch: batch, vocabulary: self.vocabulary)
    self.heldOut = evaluation.windows > 0 ? evaluation : nil
  }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) throws(CorpusError) {
    batch.check(self)
    let positions = batch.positions
    try batch.fillRows { row, inputs, targets throws(CorpusError) in
      let (index, start) = window(sample: step * self.batch + row)
      let source = sources[index]
      try source.file.readWindow(
        at: start, positions: positions, end: source.tokens, vocabulary: vocabulary,
        inputs: inputs, targets: targets)
      return source.file.documents == nil
        ? []
        : [0] + (try source.file.documentStarts(in: start + 1..<start + length)).map { $0 - start }
    }
  }

  /// The file and the first token of a sample's window.
  func window(sample: Int) -> (source: Int, start: Int) {
    let (index, draw) = mixture.draw(sample)
    let source = sources[index]
    let (epoch, window) = draw.quotientAndRemainder(dividingBy: source.windows)
    let item = UInt64(index) << 32 | UInt64(epoch)
    let windows = Permutation(
      count: source.windows, random: Random(seed: seed, .windowOrder, item: item))
    let slack = source.tokens - 1 - source.windows * length
    let offset = Random(seed: seed, .windowOffset, item: item)
      .integer(below: min(length, slack + 1), at: 0)
    return (index, offset + windows[window] * length)
  }
}
