import Tensors
import Tokenizers

/// Windows drawn at random from one or several files, each window once an epoch.
///
/// Concretely: a file's training tokens `[0, n)` are cut into windows of `length + 1` tokens, each
/// beginning at the last token of the one before, after an offset of fewer than `length` tokens that
/// changes with the epoch. An epoch's windows come in a random order of its own. Sample `s` of the run
/// (`step · batch + row`) belongs to a file by the weights: in every block of samples each file has
/// its exact share (in 1/1024ths), in random order. Where a file has documents, every window begins one:
/// nothing is known of what came before.
public struct TextCorpus: TrainingCorpus {
  /// Number of different tokens.
  public let vocabulary: Int
  /// Tokens of a sequence.
  public let length: Int
  /// Sequences of a step.
  public let batch: Int
  /// Nil: there is always another epoch.
  public var steps: Int? { nil }
  /// Whether the tokens are bytes of text.
  public let tokensAreBytes: Bool
  /// The held-out part of every file, read from start to end; nil when it holds no window.
  public let heldOut: (any Corpus)?

  /// One file, its training part, and its share of a block of samples.
  private struct Source {
    let file: TokenFile
    let tokens: Int
    let windows: Int
    let share: Range<Int>
  }

  private let sources: [Source]
  private let block: Int
  private let seed: UInt64

  /// Prepares files; reads them only if their vocabulary must be found or checked.
  ///
  /// - Parameters:
  ///   - files: Files and their weights, above 0; only the ratios matter.
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - seed: The run's seed.
  ///   - heldOut: Share of each file, at its end, that is only evaluated.
  ///   - vocabulary: Number of different tokens; 0 for 256 with bytes, else for what the files hold.
  /// - Throws: `CorpusError` when a file is too short, holds a token beyond the vocabulary, or has
  ///   tokens of another width than the first, or has a separator beyond the vocabulary.
  public init(
    files: [(file: TokenFile, weight: Double)], length: Int, batch: Int, seed: UInt64,
    heldOut: Double, vocabulary: Int = 0
  ) throws(CorpusError) {
    precondition(!files.isEmpty && files.allSatisfy { $0.weight > 0 }, "files need weights above 0")
    precondition(length > 0 && batch > 0, "\(batch) sequences of \(length) tokens")
    precondition((0..<1).contains(heldOut), "a held-out share of \(heldOut)")
    let shares = TextCorpus.shares(files.map(\.weight))
    var sources: [Source] = []
    var kept: [(file: TokenFile, range: Range<Int>)] = []
    for ((file, _), share) in zip(files, shares) {
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
        Source(
          file: file, tokens: tokens, windows: max(1, (tokens - length) / length), share: share))
      kept.append((file, tokens..<file.count))
    }
    let needed =
      files[0].file.tokenBytes == 1
      ? ByteTokenizer().vocabulary
      : files.map { Int($0.file.largestToken(in: 0..<$0.file.count)) + 1 }.max()!
    if vocabulary > 0, vocabulary < needed {
      for (file, _) in files { try file.check(vocabulary: vocabulary, in: 0..<file.count) }
    }
    self.vocabulary = vocabulary > 0 ? vocabulary : needed
    for (file, _) in files {
      if case .separator(let token) = file.documents, token >= self.vocabulary {
        throw .separatorBeyond(path: file.path, token: Int(token), vocabulary: self.vocabulary)
      }
    }
    self.length = length
    self.batch = batch
    self.seed = seed
    self.sources = sources
    block = shares.last!.upperBound
    tokensAreBytes = files[0].file.tokenBytes == 1
    let evaluation = SequentialWindows(
      kept, length: length, batch: batch, vocabulary: self.vocabulary)
    self.heldOut = evaluation.windows > 0 ? evaluation : nil
  }

  /// Overwrites a batch's tokens with those of a step.
  public func fill(_ batch: inout TokenBatch, step: Int) {
    batch.check(self)
    let (rows, positions) = (batch.rows, batch.positions)
    batch.inputs.withUnsafeMutableBufferPointer { inputs in
      batch.targets.withUnsafeMutableBufferPointer { targets in
        guard let inputs = inputs.baseAddress, let targets = targets.baseAddress else { return }
        for (place, row) in rows.enumerated() {
          let (source, start) = window(sample: step * self.batch + row)
          sources[source].file.readWindow(
            at: start, positions: positions, end: sources[source].tokens,
            inputs: inputs + place * positions.count, targets: targets + place * positions.count)
        }
      }
    }
    for (place, row) in rows.enumerated() {
      let (source, start) = window(sample: step * self.batch + row)
      let file = sources[source].file
      batch.documentStarts[place] =
        file.documents == nil
        ? [] : [0] + file.documentStarts(in: start + 1..<start + length).map { $0 - start }
    }
  }

  /// The file and the first token of a sample's window.
  func window(sample: Int) -> (source: Int, start: Int) {
    let (blockIndex, place) = sample.quotientAndRemainder(dividingBy: block)
    let order = Permutation(
      count: block, random: Random(seed: seed, .mixture, item: UInt64(blockIndex)))
    let slot = order[place]
    let index = sources.firstIndex { $0.share.contains(slot) }!
    let source = sources[index]
    let draw = blockIndex * source.share.count + slot - source.share.lowerBound
    let (epoch, window) = draw.quotientAndRemainder(dividingBy: source.windows)
    let item = UInt64(index) << 32 | UInt64(epoch)
    let windows = Permutation(
      count: source.windows, random: Random(seed: seed, .windowOrder, item: item))
    let slack = source.tokens - 1 - source.windows * length
    let offset = Random(seed: seed, .windowOffset, item: item)
      .integer(below: min(length, slack + 1), at: 0)
    return (index, offset + windows[window] * length)
  }

  /// How many samples of a block each file has: its weight in 1/1024ths, at least one.
  private static func shares(_ weights: [Double]) -> [Range<Int>] {
    let total = weights.reduce(0, +)
    let exact = weights.map { $0 / total * 1024 }
    var counts = exact.map { max(1, Int($0)) }
    let byRemainder = exact.indices.sorted {
      exact[$0] - Double(counts[$0]) > exact[$1] - Double(counts[$1])
    }
    for index in byRemainder where counts.reduce(0, +) < 1024 { counts[index] += 1 }
    var divisor = 0
    for count in counts {
      var (a, b) = (divisor, count)
      while b > 0 { (a, b) = (b, a % b) }
      divisor = a
    }
    var start = 0
    return counts.map { count in
      defer { start += count / divisor }
      return start..<start + count / divisor
    }
  }
}
