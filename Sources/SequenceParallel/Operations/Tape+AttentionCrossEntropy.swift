import Autodiff
import Tensors

extension Tape {
  /// How far the weights of linear attention over features are from those of softmax attention: the cross-entropy of each
  /// position, summed over heads.
  ///
  /// Concretely: `L_i = −Σ_h Σ_j a_ij log max(ā_ij, 1e-12)` with `a_ij = softmax_j(d^−½ q_i k_j)` and
  /// `ā_ij = φ(q_i)·φ(k_j) / Σ_j φ(q_i)·φ(k_j)` over the keys `j ≤ i` of i's document, the teacher's within its window.
  /// Its gradient goes to the features alone. Keys and their features cross ranks as keys and values of attention do, in tiles
  /// or from rank to rank, twice: for the sums over all keys, and for the weights compared with them; a third time for gradients, which
  /// go home to the features of keys. What came before the sequence enters by `pass.left`.
  ///
  /// Run again, it sends nothing: what was found of each query was kept.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`, of which no gradient is wanted; `k`, keys, `[N, keyHeads·d]`. These and features may be
  ///     stored for products.
  ///   - queryFeatures: φ(q), `[N, heads·F]`, at least 0.
  ///   - keyFeatures: φ(k), of as many heads or of a divisor, which each serve neighbouring heads of queries.
  ///   - dimension: `d`.
  ///   - features: `F`.
  ///   - window: The most keys that the teacher's queries see; nil for all.
  ///   - exchange: How keys and features cross ranks; nil for the context's way.
  ///   - slot: The layer's window, for carries and messages.
  /// - Returns: `[N, 1]`.
  /// - Complexity: `O(T²)` for each head, over all ranks; memory of a tile of keys.
  /// - Source: Hedgehog (arXiv 2402.04347), section 4.2.
  package func attentionCrossEntropy(
    q: Variable, k: Variable, queryFeatures: Variable, keyFeatures: Variable, dimension: Int,
    features: Int, window: Int? = nil, exchange: AttentionExchange? = nil, slot: CarrySlot,
    pass: SequencePass
  ) throws -> Variable {
    precondition(slot.content == .window, "its slot is a window, not \(slot.content)")
    let crossing = pass.crossing(
      of: KeyWidths(k: k.shape.columns, v: keyFeatures.shape.columns), exchange: exchange,
      slot: slot)
    let kept: CrossEntropyHeads.Found? = pass.memory[slot]
    let run = CrossEntropyHeads(
      q: workspace.tensor(of: q.stored, q.shape), k: workspace.tensor(of: k.stored, k.shape),
      queryFeatures: workspace.tensor(of: queryFeatures.stored, queryFeatures.shape),
      keyFeatures: workspace.tensor(of: keyFeatures.stored, keyFeatures.shape),
      dimension: dimension, features: features, window: window, pass: pass, found: kept)
    if kept == nil {
      try workspace.counters.measure(.attention) {
        run.begin()
        try crossing.forward(run, isAgain: false)
        run.finishSums()
        try crossing.forward(run, isAgain: true)
      }
    }
    // Whoever records now runs for the last time.
    pass.memory[slot] = !isRecording && crossing.keepsOutput ? run.output : nil
    return record(run.losses(), inputs: [queryFeatures, keyFeatures]) { [unowned self] dy in
      try workspace.counters.measure(.attention) {
        let dq = Tensor(queryFeatures.shape, pool: pool)
        let gradients = KeyGradients(
          k: Tensor(k.shape, pool: pool), v: Tensor(keyFeatures.shape, pool: pool), gates: nil)
        workspace.compute(.attention) {
          for tensor in [dq] + gradients.tensors { tensor.clear() }
        }
        try crossing.backward(run, dO: dy, dq: dq, into: gradients)
        queryFeatures.add(gradient: dq, in: workspace)
        keyFeatures.add(gradient: gradients.v, in: workspace)
      }
    }
  }
}
