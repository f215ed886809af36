import Autodiff
import Measurement
import MessagePassing
import Tensors

/// One rank's way of running passes: what it works with and where its weights lie.
///
/// Whatever runs layers over a shard goes through it: training, evaluations and generation by the `ModelRunner`,
/// rehearsals of single ops directly.
package struct PassRunner<Store: ParameterStore> {
  /// Memory, threads, figures and the sequence group.
  package let context: RankContext
  /// Weights, and gradient sums where there are any.
  package let store: Store
  /// Forms of weights that never change, which all passes share.
  package let forms: WeightForms?

  /// - Parameter forms: Those of weights that never change and are never given back; nil for weights that are.
  package init(context: RankContext, store: Store, forms: WeightForms? = nil) {
    (self.context, self.store, self.forms) = (context, store, forms)
  }

  /// Runs layers over a pass, remembering nothing.
  ///
  /// - Parameter part: What a trace adds to the pass's name.
  package func forward<Result>(
    _ pass: SequencePass, part: String = "", _ body: (Tape, SequencePass) throws -> Result
  ) throws -> Result {
    let tape = Tape(
      workspace: context.workspace, parameters: store, recording: false, forms: forms)
    return try context.counters.mark("forward" + part) { try body(tape, pass) }
  }

  /// Runs layers over a pass, which communicates only if it has not run before, and back; gradients are added up.
  ///
  /// - Parameters:
  ///   - later: The pass over the part after it, differentiated already; nil for the last part.
  ///   - inTurn: Whether layers are differentiated within `body`, each after it has run.
  ///   - completed: Called when a region's gradients are complete, in the same order on every rank.
  ///   - body: Gives what the backward pass begins from, with a gradient of ones.
  package func forwardAndBackward<Result>(
    _ pass: SequencePass, before later: SequencePass? = nil, inTurn: Bool = false,
    part: String = "", completed: @escaping (Int) throws -> Void = { _ in },
    _ body: (Tape, SequencePass) throws -> (output: Variable, result: Result)
  ) throws -> Result {
    let workspace = context.workspace
    if let later { pass.left.restore(from: later.left, in: workspace) }
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    tape.regionCompleted = completed
    if inTurn, let later { try pass.closeBackward(from: later) }
    let (output, result) = try workspace.counters.mark("forward" + part) { try body(tape, pass) }
    let ones = Tensor(output.shape, pool: workspace.pool)
    workspace.compute(.head) { ones.pointer.update(repeating: 1, count: ones.count) }
    if !inTurn, let later { try pass.closeBackward(from: later) }
    try workspace.counters.mark("backward" + part) {
      try tape.backward(from: output, gradient: ones)
    }
    return result
  }
}

extension PassRunner where Store == WholeParameters {
  /// Takes room for all weights, which are not set, and for gradients, which are zero, where they are wanted.
  ///
  /// Without gradients, weights do not change any more after the first pass.
  ///
  /// - Parameter sequence: The ranks that share each sequence.
  package init(
    table: ParameterTable, gradients: Bool = false, sequence: any Communicator,
    exchange: ExchangeKind = .chain, attention: AttentionExchange = .gather, workspace: Workspace
  ) {
    context = RankContext(
      workspace: workspace, sequence: sequence, exchange: exchange.make(), attention: attention)
    store = WholeParameters(table: table, gradients: gradients, pool: workspace.pool)
    forms = gradients ? nil : WeightForms(store, workspace: workspace, keeping: true)
    workspace.run { store.clearGradients() }
  }
}
