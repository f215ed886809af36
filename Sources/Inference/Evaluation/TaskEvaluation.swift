import Autodiff
import Checkpoints
import Corpora
import DataParallel
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// `lasp-train evaluate MODEL_DIR --task T --lengths …`: right answers of a generated task by length and depth.
///
/// The sequences are those that are held out in training, of any length; all ranks share each.
package struct TaskEvaluation {
  /// What sequences of one length gave.
  package struct Row: Sendable {
    /// Tokens of a sequence.
    package let length: Int
    /// Losses, and answers by whether what they depend on lies in the same shard.
    package let sums: LossSums
    /// Answers by depth, in equal parts of the sequence.
    package let depths: [LossSums.Answers]

    /// All answers.
    package var answers: LossSums.Answers {
      LossSums.Answers(
        right: sums.inside.right + sums.crossing.right,
        asked: sums.inside.asked + sums.crossing.asked)
    }
  }

  /// Share of guessed answers that are right.
  package let chance: Double
  /// What the answers are told apart by.
  package let depth: TaskDepth
  /// Tokens of a pass on all ranks.
  private static let tokensOfPass = 16384
  private let runner: ModelRunner<DistributedParameters>
  private let world: any Communicator
  private let corpora: [any TaskCorpus]
  /// How many equal parts of a sequence are told apart.
  let depths: Int
  /// Ranks that share a sequence.
  var ranks: Int { world.size }

  /// Opens a model over all ranks, and prepares the task's sequences of all lengths.
  ///
  /// - Parameters:
  ///   - adapter: The folder of an adapter of the model, or nil.
  ///   - data: Its task, with its keys.
  ///   - lengths: Tokens of a sequence, one after the other.
  ///   - sequences: How many of each length.
  ///   - depths: How many equal parts of a sequence are told apart.
  ///   - seed: The seed of the sequences.
  ///   - parallel: How states and keys cross ranks, and how experts are dealt over them.
  /// - Throws: `CorpusError` for a length that has no room for the task, or a task of more tokens than the model
  ///   knows; `CheckpointError`.
  package init(
    modelFolder: String, adapter: String? = nil, data: DataSection, lengths: [Int], sequences: Int,
    depths: Int,
    seed: UInt64,
    parallel: ParallelSection, world: any Communicator, workspace: Workspace
  ) throws {
    precondition(!lengths.isEmpty && sequences > 0 && depths > 0, "nothing is to be evaluated")
    let folder = try ModelFolder(verifying: modelFolder, adapter: adapter)
    if world.rank == 0 { Notices.print(folder.notices) }
    self.world = world
    self.depths = depths
    corpora = try lengths.map {
      try data.makeTask(length: $0, batch: sequences, seed: seed)
    }
    (chance, depth) = (corpora[0].chance, corpora[0].depth)
    guard corpora[0].vocabulary <= folder.model.vocabulary else {
      throw CorpusError.taskBeyondVocabulary(
        task: data.task, tokens: corpora[0].vocabulary, vocabulary: folder.model.vocabulary)
    }
    runner = try ModelRunner(
      folder, exchange: parallel.exchange.kind ?? .chain, attention: parallel.attention,
      experts: parallel.experts, reproducible: parallel.reproducible > 0, world: world,
      workspace: workspace)
  }

  /// Answers the questions of every length.
  ///
  /// - Parameters:
  ///   - progress: Where is shown how far it is with sequences of a length.
  ///   - ended: Called with the row of each length as it is done.
  package func run(
    progress: (Int) -> ProgressDisplay? = { _ in nil }, _ ended: (Row) -> Void = { _ in }
  ) throws -> [Row] {
    try corpora.map {
      let progress = progress($0.length)
      let row = try evaluate($0, progress)
      progress?.end()
      ended(row)
      return row
    }
  }

  private func evaluate(_ corpus: any TaskCorpus, _ progress: ProgressDisplay?) throws -> Row {
    guard let heldOut = corpus.heldOut else {
      preconditionFailure("a task without sequences that are held out")
    }
    let shards = SequenceLayout.evenShards(tokens: corpus.length, ranks: world.size)
    let first = shards[..<world.rank].reduce(0, +)
    let rowsOfPass = max(1, Self.tokensOfPass / corpus.length)
    var sums = LossSums()
    var byDepth = [LossSums.Answers](repeating: LossSums.Answers(), count: depths)
    for (pass, start) in stride(from: 0, to: corpus.batch, by: rowsOfPass).enumerated() {
      let rows = start..<min(start + rowsOfPass, corpus.batch)
      var batch = TokenBatch(rows: rows, positions: first..<first + shards[world.rank])
      try heldOut.fill(&batch, step: 0)
      let layout = SequenceLayout(
        shardLengths: shards, rank: world.rank, rows: rows.count,
        documentStarts: batch.documentStarts)
      let (result, _) = try runner.forward(
        batch.inputs, targets: batch.targets,
        pass: SequencePass(context: runner.context, layout: layout, step: pass))
      try runner.context.drain()
      sums += LossSums(result, terms: [], declared: [], batch: batch)
      progress?.show(Double(rows.upperBound), of: Double(corpus.batch))
      for index in batch.targets.indices where batch.targets[index] >= 0 {
        let place =
          depth == .answer
          ? Int(batch.origins[index]) : first + index % batch.positions.count
        let part = place * depths / corpus.length
        byDepth[part].asked += 1
        byDepth[part].right += result.predictions[index] == batch.targets[index] ? 1 : 0
      }
    }
    let counts = byDepth.flatMap { [Double($0.right), Double($0.asked)] }
    let all = try world.allReduce(sums.numbers + counts, .sum)
    let total = sums.with(Array(all.dropLast(counts.count)))
    guard total.isFinite else {
      throw NotFiniteError("the loss on sequences of \(corpus.length) tokens", total.loss)
    }
    let countsOfAll = all.suffix(counts.count).map { Int($0) }
    return Row(
      length: corpus.length, sums: total,
      depths: (0..<depths).map {
        LossSums.Answers(right: countsOfAll[2 * $0], asked: countsOfAll[2 * $0 + 1])
      })
  }
}
