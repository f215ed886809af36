import Autodiff
import Checkpoints
import Corpora
import Foundation
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors
import Tokenizers

/// `lasp-train evaluate MODEL_DIR --data.path FILE`: the loss over whole files, each as one stream.
///
/// A file is read in windows of `sequence.length` tokens, shared by all ranks; the state goes from the last
/// rank of a window to the first rank of the next, so every token sees all that came before it.
package struct StreamEvaluation {
  /// What a stream gave.
  package struct Result: CustomStringConvertible {
    /// Sums over all files.
    package let sums: LossSums
    let tokensAreBytes: Bool
    /// Bytes of the texts that are predicted; nil where a file holds tokens.
    package let bytes: Int?

    /// The loss, bits a byte where they are known, and the perplexity.
    package var description: String {
      let loss = sums.meanLoss
      let bits = bitsPerByte.map { String(format: "%.6f bits per byte, ", $0) } ?? ""
      let perplexity = String(
        format: "perplexity %.4f a %@", exp(loss), tokensAreBytes ? "byte" : "token")
      return String(format: "loss %.6f nats a token, ", loss) + bits + perplexity
        + ", over \(sums.targets) tokens"
        + (tokensAreBytes ? "" : bytes.map { " of \($0) bytes" } ?? "")
    }

    /// The sum of all losses over the bytes that are predicted; nil where a file holds tokens of no known text.
    package var bitsPerByte: Double? {
      if tokensAreBytes { return sums.meanLoss / log(2) }
      return bytes.map { sums.loss / log(2) / Double($0) }
    }
  }

  private let runner: ModelRunner<WholeParameters>
  private let world: any Communicator
  private let corpora: [SequentialWindows]
  private let length: Int
  private let paths: [String]
  private let bytes: Int?

  /// Opens a model and files over all ranks, which share every window.
  ///
  /// - Parameters:
  ///   - adapter: The folder of an adapter of the model, or nil.
  ///   - data: Where the files stand.
  ///   - length: Tokens of a window.
  ///   - tokens: Tokens to predict at most, from the first file's start; nil for all.
  ///   - parallel: How states and keys cross ranks.
  package init(
    modelFolder: String, adapter: String? = nil, data: DataSection, length: Int,
    tokens: Int? = nil, parallel: ParallelSection,
    world: any Communicator, workspace: Workspace
  ) throws {
    let folder = try ModelFolder(verifying: modelFolder, adapter: adapter)
    if world.rank == 0 { Notices.print(folder.notices) }
    let model = folder.model
    self.world = world
    runner = ModelRunner(
      model, sequence: world, exchange: parallel.exchange.kind ?? .chain,
      attention: parallel.attention, workspace: workspace)
    self.length = length
    paths = data.path.map(\.path)
    try data.checkTokenizer(model: folder.path)
    let tokenizer = try data.readTokenizer(model: folder.path)
    try tokenizer?.check(vocabulary: model.vocabulary)
    let files = try data.openFiles(tokenizer: tokenizer?.tokenizer)
    let parts = try Self.parts(files.map(\.file), tokens: tokens)
    let texts = try tokenizer.map { tokenizer in
      try parts.map { try $0.file.predictedBytes(in: $0.range, tokenizer.tokenizer) }
    }
    // Where targets are left out, it is not known how many bytes the others are.
    let predictsAll = files.allSatisfy {
      $0.file.documents == nil && $0.file.lossMask == nil && $0.file.labels == nil
    }
    bytes =
      predictsAll
      ? texts.flatMap { $0.contains(nil) ? nil : $0.reduce(0) { $0 + ($1 ?? 0) } } : nil
    corpora = try parts.map { file, range in
      try file.check(said: data.vocabulary > 0 ? data.vocabulary : model.vocabulary)
      return SequentialWindows(
        [(file, range)], length: length, batch: 1, vocabulary: model.vocabulary)
    }
    try folder.read(into: runner.store)
  }

  /// Which of each file's tokens are read.
  private static func parts(
    _ files: [TokenFile], tokens: Int?
  ) throws -> [(file: TokenFile, range: Range<Int>)] {
    var left = tokens ?? .max
    var parts: [(TokenFile, Range<Int>)] = []
    for file in files where left > 0 {
      guard file.count >= 2 else {
        throw CorpusError.tooShort(path: file.path, tokens: file.count, heldOut: 0, length: 1)
      }
      // The first token is predicted by nothing, but where labels stand beside it.
      let first = file.labels == nil ? 1 : 0
      let count = min(file.count, left < file.count ? left + first : file.count)
      left -= count - first
      parts.append((file, 0..<count))
    }
    return parts
  }

  /// Reads every file to its end, or as far as was asked.
  ///
  /// - Parameter progress: Where is shown how far it is.
  package func run(progress: ProgressDisplay? = nil) throws -> Result {
    let shards = SequenceLayout.evenShards(tokens: length, ranks: world.size)
    let first = shards[..<world.rank].reduce(0, +)
    var batch = TokenBatch(rows: 0..<1, positions: first..<first + shards[world.rank])
    var sums = LossSums()
    let windows = corpora.reduce(0) { $0 + $1.windows }
    var done = 0
    for corpus in corpora {
      var left = Carry()
      for window in 0..<corpus.windows {
        try corpus.fill(&batch, step: window)
        let layout = SequenceLayout(
          shardLengths: shards, rank: world.rank, rows: 1, start: window * length,
          documentStarts: batch.documentStarts)
        let (result, _) = try runner.forward(
          batch.inputs, targets: batch.targets, window: layout, from: &left, step: window)
        sums += LossSums(loss: result.sum, targets: result.targets)
        done += 1
        progress?.show(Double(done), of: Double(windows), note: "window \(done) of \(windows)")
      }
      try runner.context.drain()
    }
    let total = sums.with(try world.allReduce(sums.numbers, .sum))
    guard total.targets > 0 else { throw CorpusError.noTarget(paths: paths) }
    guard total.isFinite else {
      throw NotFiniteError("the loss on \(paths.joined(separator: ", "))", total.loss)
    }
    return Result(
      sums: total,
      tokensAreBytes: corpora.allSatisfy(\.tokensAreBytes), bytes: bytes)
  }
}
