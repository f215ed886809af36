import Autodiff
import Checkpoints
import Corpora
import Foundation
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

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

    /// The loss, and bits a byte or the perplexity.
    package var description: String {
      let loss = sums.meanLoss
      let measure =
        tokensAreBytes
        ? String(format: "%.6f bits per byte", loss / log(2))
        : String(format: "perplexity %.4f", exp(loss))
      return String(format: "loss %.6f nats a token, ", loss)
        + "\(measure), over \(sums.targets) tokens"
    }
  }

  private let runner: ModelRunner<WholeParameters>
  private let world: any Communicator
  private let corpora: [SequentialWindows]
  private let length: Int
  private let paths: [String]

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
    let folder = try ModelFolder(path: modelFolder, adapter: adapter)
    if world.rank == 0 { Notices.print(folder.notices) }
    let model = folder.model
    self.world = world
    runner = ModelRunner(
      model, sequence: world, exchange: parallel.exchange.kind ?? .chain,
      attention: parallel.attention, workspace: workspace)
    self.length = length
    paths = data.path.map(\.path)
    corpora = try data.openFiles().map { file, _ in
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
  package func run() throws -> Result {
    let shards = SequenceLayout.evenShards(tokens: length, ranks: world.size)
    let first = shards[..<world.rank].reduce(0, +)
    var batch = TokenBatch(rows: 0..<1, positions: first..<first + shards[world.rank])
    var sums = LossSums()
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
      tokensAreBytes: corpora.allSatisfy(\.tokensAreBytes))
  }
}
