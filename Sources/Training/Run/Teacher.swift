import Autodiff
import Checkpoints
import Corpora
import DataParallel
import MessagePassing
import Models
import SequenceParallel
import Tensors

/// A frozen model beside the one that is trained, which tells it what it makes of the same tokens.
///
/// It has its own communicators, exchange and carries, so that its messages and states are apart from the student's. Its pass over a
/// micro-batch comes before the student's; of it only the last hidden states stay, until the student's head has read them.
/// With `sharding: parameters` its weights are cut over the ranks as the student's are.
final class Teacher {
  /// What runs it.
  let runner: ModelRunner<ShardedParameters>
  /// For each micro-batch what its rows carry into the next step; filled on the group's first rank.
  var carries: [Carry]

  /// Takes room for the weights, which are not set; collective.
  ///
  /// - Parameters:
  ///   - model: It, all frozen.
  ///   - world: The ranks that hold the same weights.
  ///   - sequence: The ranks that share each sequence.
  init(
    _ model: LanguageModel, _ configuration: RunConfiguration, world: any Communicator,
    sequence: any Communicator, exchange: ExchangeKind, microBatches: Int, workspace: Workspace
  ) throws {
    let parallel = configuration.parallel
    let context = RankContext(
      workspace: workspace, sequence: try sequence.duplicate(), exchange: exchange.make(),
      attention: parallel.attention)
    let store = try ShardedParameters(
      table: model.table, sharding: parallel.sharding == .parameters ? .parameters : .none,
      group: world, workspace: workspace, bucketBytes: parallel.bucketBytes)
    // Whole weights stay where they are and never change, so that they are packed once.
    let forms =
      parallel.sharding == .parameters
      ? nil : WeightForms(store, workspace: workspace, keeping: true)
    runner = ModelRunner(model, PassRunner(context: context, store: store, forms: forms))
    carries = (0..<microBatches).map { _ in Carry() }
  }

  /// Reads the weights that this rank keeps.
  func readWeights(_ folder: ModelFolder) throws {
    for part in runner.store.kept { try folder.read(part.range, into: part.values) }
  }

  /// What it has to say of the next part of some rows.
  ///
  /// - Parameters:
  ///   - seam: What it carries into the part; what it carries on, afterwards, unless the part is the last.
  func lesson(
    _ batch: TokenBatch, _ layout: SequenceLayout, from seam: inout Carry, isLast: Bool, step: Int,
    segment: Int, part: String
  ) throws -> Distillation.Lesson {
    let counters = runner.context.counters
    let before = counters.attentionOperations
    let hidden = try runner.hidden(
      batch.inputs, window: layout, from: &seam, isLast: isLast, step: step, segment: segment,
      part: " of the teacher" + part)
    // They are counted as if they were differentiated.
    counters.attentionOperations = before + (counters.attentionOperations - before) / 3
    return Distillation.Lesson(
      runner.model, runner.store, forms: runner.passes.forms, hidden: hidden)
  }

  /// Waits until all that it sent has left, at the end of a step.
  func settle() throws {
    try runner.context.drain()
    try runner.store.settle(polling: runner.context.workspace.poll)
  }
}
