import Autodiff
import Tensors

/// What a layer hands to the recurrence engine: the family's standard inputs.
package struct RecurrenceInputs {
  /// Queries, `[N, queryHeads·K]`, where `N = rows × length`; where the kernel's widths differ from K and V, those.
  package var q: Variable
  /// Keys, `[N, keyHeads·K]`.
  package var k: Variable
  /// Values, `[N, valueHeads·V]`.
  package var v: Variable
  /// Log decays from data, `[N, heads]` or `[N, heads·K]`, with the heads of k or of the state; or nil.
  package var g: Variable?
  /// The delta rule's steps, `[N, heads]`, with the heads of the state; or nil.
  package var beta: Variable?
  /// What reads and what is written of a low-rank transition `b_tᵀ a_t`, `[N, heads·K]` each; or nil.
  package var a, b: Variable?
  /// Fixed log decay of each head of the state; empty for none.
  package var logDecay: [Float]

  /// Collects the inputs; leave out what the recurrence does not read.
  package init(
    q: Variable, k: Variable, v: Variable, g: Variable? = nil, beta: Variable? = nil,
    a: Variable? = nil, b: Variable? = nil, logDecay: [Float] = []
  ) {
    (self.q, self.k, self.v, self.a, self.b) = (q, k, v, a, b)
    (self.g, self.beta, self.logDecay) = (g, beta, logDecay)
  }

  /// All that a gradient may be wanted of.
  var variables: [Variable] { [q, k, v] + [g, beta, a, b].compactMap { $0 } }
}

/// Room for the gradients of a recurrence's inputs.
struct RecurrenceGradients: Sendable {
  let q, k, v: Tensor
  let g, beta, a, b: Tensor?

  init(_ inputs: RecurrenceInputs, pool: BufferPool) {
    q = Tensor(inputs.q.shape, pool: pool)
    k = Tensor(inputs.k.shape, pool: pool)
    v = Tensor(inputs.v.shape, pool: pool)
    g = inputs.g.map { Tensor($0.shape, pool: pool) }
    beta = inputs.beta.map { Tensor($0.shape, pool: pool) }
    a = inputs.a.map { Tensor($0.shape, pool: pool) }
    b = inputs.b.map { Tensor($0.shape, pool: pool) }
  }

  /// Adds them to the inputs' gradients.
  func deliver(to inputs: RecurrenceInputs, in workspace: Workspace) {
    inputs.q.add(gradient: q, in: workspace)
    inputs.k.add(gradient: k, in: workspace)
    inputs.v.add(gradient: v, in: workspace)
    if let g { inputs.g?.add(gradient: g, in: workspace) }
    if let beta { inputs.beta?.add(gradient: beta, in: workspace) }
    if let a { inputs.a?.add(gradient: a, in: workspace) }
    if let b { inputs.b?.add(gradient: b, in: workspace) }
  }
}
