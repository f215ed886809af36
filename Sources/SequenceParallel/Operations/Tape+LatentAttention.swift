import Autodiff
import Kernels
import Tensors

extension Tape {
  /// Causal softmax attention along the whole sequence, whose keys and values are made of latents.
  ///
  /// Concretely: `o_t = Σ_j softmax_j(scale · q_t k_j) v_j` with `k, v = expansion(latent, shared)`, over the tokens `j ≤ t`
  /// of t's document. What crosses ranks and seams is `[latent, shared]` of each token, and the sum of its gradients; keys and
  /// values of others' tokens are made here and forgotten. Else it is as `attention`.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`, `N = rows × length`.
  ///   - latent: Shape `[N, r]`, in fp32.
  ///   - shared: Keys that all heads share, `[N, s]`, in fp32.
  ///   - dimension: `d`, the numbers of a key, and `valueDimension` those of a value.
  ///   - scale: What scores are multiplied by.
  ///   - exchange: How latents cross ranks; nil for the context's way.
  ///   - slot: The layer's window, for carries and messages.
  ///   - expansion: Reads weights of the region that the op stands in; each row by itself.
  ///   - absorption: The same without keys and values, where a pass runs once and that is less work, as for a token that is
  ///     generated: T latents are then read instead of made into the keys and values of all heads.
  /// - Returns: `[N, heads·valueDimension]`.
  /// - Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1.
  package func latentAttention(
    q: Variable, latent: Variable, shared: Variable, dimension: Int, valueDimension: Int,
    scale: Float, exchange: AttentionExchange? = nil, slot: CarrySlot, pass: SequencePass,
    expansion: @escaping KeyExpansion, absorption: KeyAbsorption? = nil
  ) throws -> Variable {
    precondition(slot.content == .window, "attention's slot is a window, not \(slot.content)")
    let kernel = SoftmaxAttention(
      dimension: dimension, valueDimension: valueDimension, scale: scale,
      operands: workspace.products.operands)
    let crossing = pass.crossing(
      of: KeyWidths(k: latent.shape.columns, v: shared.shape.columns), exchange: exchange,
      slot: slot)
    if let absorption, pass.runsOnce, !isRecording,
      KeyAbsorption.pays(
        tokens: pass.layout.length, seen: pass.layout.start + pass.layout.shard.upperBound,
        latent: latent.shape.columns, shared: shared.shape.columns,
        own: dimension - shared.shape.columns, value: valueDimension)
    {
      let reader = AbsorbedHeads(
        q: try absorption.queries(q, self).value, latent: latent.value, shared: shared.value,
        scale: scale, operands: workspace.products.operands, pass: pass)
      try reader.read(by: crossing)
      return try absorption.values(Variable(reader.heads.o, needsGradient: false), self)
    }
    let (k, v) = try expansion(latent, shared, self)
    let (workspace, latents, keys) = (workspace, latent.value, shared.value)
    // Made anew for each pass: what it widens of the inputs is not kept between them.
    func heads(_ output: AttentionHeads.Output?) -> AttentionHeads {
      AttentionHeads(
        kernel, q: workspace.tensor(of: q.stored, q.shape),
        k: workspace.tensor(of: k.stored, k.shape), v: workspace.tensor(of: v.stored, v.shape),
        window: nil, pass: pass, output: output)
    }
    let kept: AttentionHeads.Output? = pass.memory[slot]
    let run = heads(kept)
    if kept == nil {
      try workspace.counters.measure(.attention) {
        run.begin()
        try crossing.forward(
          LatentHeads(run, latent: latents, shared: keys, tape: self, expansion: expansion),
          isAgain: false)
        run.finish()
      }
    }
    // Who does not record will run again, as in `attention`.
    pass.memory[slot] = !isRecording && crossing.keepsOutput ? run.output : nil
    let output = run.output
    return record(run.o, inputs: [q, k, v, latent, shared], remembersOutput: true) {
      [unowned self] dO in
      try workspace.counters.measure(.attention) {
        let run = heads(output)
        let dq = Tensor(q.shape, pool: pool)
        let expanded = KeyGradients(
          k: Tensor(k.shape, pool: pool), v: Tensor(v.shape, pool: pool), gates: nil)
        let gradients = KeyGradients(
          k: Tensor(latent.shape, pool: pool), v: Tensor(shared.shape, pool: pool), gates: nil)
        workspace.compute(.attention) {
          for tensor in expanded.tensors + gradients.tensors { tensor.clear() }
        }
        run.beginBackward(dO: dO, dq: dq)
        try crossing.backward(
          LatentHeads(
            run, latent: latents, shared: keys, tape: self, expansion: expansion,
            gradients: expanded),
          dO: dO, dq: dq, into: gradients)
        q.add(gradient: dq, in: workspace)
        k.add(gradient: expanded.k, in: workspace)
        v.add(gradient: expanded.v, in: workspace)
        latent.add(gradient: gradients.k, in: workspace)
        shared.add(gradient: gradients.v, in: workspace)
      }
    }
  }
}
