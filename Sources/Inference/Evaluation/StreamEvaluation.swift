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

    /// The loss, and bits a byte or the perplexity.
    package var description: String {
      let loss = sums.meanLoss
      var measures: [String] = []
      if let bitsPerByte { measures.append(String(format: "%.6f bits per byte", bitsPerByte)) }
      if !tokensAreBytes { measures.append(String(format: "perplexity %.4f a token", exp(loss))) }
      return String(format: "loss %.6f nats a token, ", loss)
        + measures.joined(separator: ", ") + ", over \(sums.targets) tokens"
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
  ///   - parallel: How states and keys cross ranks.
  package init(
    modelFolder: String, adapter: String? = nil, data: DataSection, length: Int,
    parallel: ParallelSection,
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
    let texts = files.compactMap(\.file.text)
    // Where targets are left out, it is not known how many bytes the others are.
    let predictsAll = files.allSatisfy {
      $0.file.documents == nil && $0.file.lossMask == nil && $0.file.labels == nil
    }
    bytes =
      predictsAll && texts.count == files.count
      ? texts.reduce(0) { $0 + $1.predictedBytes } : nil
    corpora = try files.map { file, _ in
      try file.check(said: data.vocabulary > 0 ? data.vocabulary : model.vocabulary)
      guard file.count >= 2 else {
        throw CorpusError.tooShort(
          path: file.path, tokens: file.count, heldOut: 0, length: 1)
      }
      return SequentialWindows(
        [(file, 0..<file.count)], length: length, batch: 1, vocabulary: model.vocabulary)
    }
    try folder.read(into: runner.store)
  }

  /// Reads every file to its end.
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
