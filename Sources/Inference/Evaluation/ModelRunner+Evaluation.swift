import Autodiff
import Checkpoints
import DataParallel
import MessagePassing
import Models
import SequenceParallel
import Tensors

extension ModelRunner where Store == DistributedParameters {
  /// A folder's model over all ranks, which share each sequence; collective.
  ///
  /// - Parameters:
  ///   - gradients: Whether gradients are wanted; without, weights never change.
  ///   - experts: Ranks over which experts are dealt; 1 where every rank has all.
  ///   - reproducible: Whether how they are dealt may change no bit.
  /// - Throws: `MessagePassingError.grid` for experts that cannot be dealt so, `CheckpointError`.
  init(
    _ folder: ModelFolder, gradients: Bool = false, exchange: ExchangeKind,
    attention: AttentionExchange, experts: Int, reproducible: Bool, world: any Communicator,
    workspace: Workspace
  ) throws {
    var model = folder.model
    if !gradients { model.freezeAll() }
    let shape = try ExpertShape(
      ranks: world.size, size: experts, reproducible: reproducible)
    try shape.check(experts: model.experts)
    let context = RankContext(
      workspace: workspace, sequence: world, exchange: exchange.make(), attention: attention,
      experts: try ExpertGroup(shape, world: world, in: workspace))
    let store = try DistributedParameters(
      table: model.table, sharding: .none, world: world, experts: shape, workspace: workspace)
    let forms = gradients ? nil : WeightForms(store, workspace: workspace, keeping: true)
    self.init(model, PassRunner(context: context, store: store, forms: forms))
    workspace.run { store.clearGradients() }
    for part in store.kept { try folder.read(part.range, into: part.values) }
  }
}
