import Configuration
import Autodiff
import Kernels
import Tensors

/// How keys and values of full attention cross the ranks of a sequence group.
package enum AttentionExchange: String, KeyChoice {
  /// Every rank's are gathered everywhere, tile by tile; gradients are reduced back (LASP-2H).
  case gather
  /// They travel from rank to rank, and gradients with them.
  case ring
}

extension Tape {
  /// Causal softmax attention along the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `o_t = Σ_j softmax_j(scale · q_t k_j) v_j` over the tokens `j ≤ t` of t's document, the last
  /// `window` of them where a window is given. With a window, the ranks that hold the `window − 1` tokens
  /// before the shard send them as a halo; without, keys and values cross as `exchange` says. What came
  /// before the sequence enters by `pass.left`, at positions before `layout.start`.
  ///
  /// Run again (recomputation), it sends nothing: a window's halo, or the whole output, was kept.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`, `N = rows × length`; they, keys and values may be stored for products.
  ///   - k: Keys, `[N, keyHeads·d]`; each serves `heads / keyHeads` neighbouring heads.
  ///   - v: Values, `[N, keyHeads·d]`.
  ///   - logGates: The logs of forgetting gates, `[N, heads]`, at most 0, whose sums over the tokens after a key and up to
  ///     a query are added to the scores; nil for none, and where there is a window.
  ///   - dimension: `d`.
  ///   - window: The most keys that a query sees, itself included; nil for all.
  ///   - scale: What scores are multiplied by; `d^−½` where nil.
  ///   - exchange: How keys and values cross ranks where there is no window; nil for the context's way.
  ///   - slot: The layer's window, for carries and messages.
  /// - Returns: `[N, heads·d]`.
  /// - Source: LASP-2 (arXiv 2502.07563), §3.5; Ring Attention (arXiv 2310.01889); Forgetting Transformer (arXiv
  ///   2503.02130).
  package func attention(
    q: Variable, k: Variable, v: Variable, logGates: Variable? = nil, dimension: Int,
    window: Int? = nil, scale: Float? = nil, exchange: AttentionExchange? = nil, slot: CarrySlot,
    pass: SequencePass
  ) throws -> Variable {
    precondition(slot.content == .window, "attention's slot is a window, not \(slot.content)")
    precondition(window.map { $0 > 0 } ?? true, "a window of \(window ?? 0) tokens")
    precondition(window == nil || logGates == nil, "gates that forget in a window")
    let kernel = SoftmaxAttention(
      dimension: dimension, scale: scale ?? 1 / Float(dimension).squareRoot(),
      operands: workspace.products.operands)
    let gates = logGates?.shape.columns ?? 0
    let widths = KeyWidths(k: k.shape.columns, v: v.shape.columns, gates: gates)
    let crossing: any AttentionCrossing =
      window != nil
      ? HaloAttention(slot: slot, window: window, widths: widths, pass: pass)
      : pass.crossing(of: widths, exchange: exchange, slot: slot)
    let workspace = workspace
    // Made anew for each pass: what it widens of the inputs is not kept between them.
    func heads(_ output: AttentionHeads.Output?) -> AttentionHeads {
      AttentionHeads(
        kernel, q: workspace.tensor(of: q.stored, q.shape),
        k: workspace.tensor(of: k.stored, k.shape), v: workspace.tensor(of: v.stored, v.shape),
        logGates: logGates?.value, window: window, pass: pass, output: output)
    }
    let kept: AttentionHeads.Output? = pass.memory[slot]
    let run = heads(kept)
    if kept == nil {
      try workspace.counters.measure(.attention) {
        run.begin()
        try crossing.forward(run, isAgain: false)
        run.finish()
      }
    }
    // Whoever records now runs for the last time; whoever does not will run again, maybe more than once: a
    // segment runs for what leaves it, then a second time, and then its regions are recomputed.
    pass.memory[slot] = !isRecording && crossing.keepsOutput ? run.output : nil
    let output = run.output
    return record(
      run.o, inputs: [q, k, v] + [logGates].compactMap { $0 }, remembersOutput: true
    ) { [unowned self] dO in
      try workspace.counters.measure(.attention) {
        let run = heads(output)
        let dq = Tensor(q.shape, pool: pool)
        let gradients = KeyGradients(
          k: Tensor(k.shape, pool: pool), v: Tensor(v.shape, pool: pool),
          gates: logGates.map { Tensor($0.shape, pool: pool) })
        workspace.compute(.attention) {
          for tensor in gradients.tensors { tensor.clear() }
        }
        run.beginBackward(dO: dO, dq: dq)
        try crossing.backward(run, dO: dO, dq: dq, into: gradients)
        q.add(gradient: dq, in: workspace)
        k.add(gradient: gradients.k, in: workspace)
        v.add(gradient: gradients.v, in: workspace)
        if let logGates, let dSums = gradients.gates {
          run.addGateShares(to: dSums)
          // A gate is in the sums of all later tokens of its document.
          let sums = RunningSumRun(
            kernel: RunningSum(channels: gates), restarts: true,
            slot: CarrySlot(layer: slot.layer, .state(0)), pass: pass)
          let dGates = Tensor(logGates.shape, pool: pool)
          try sums.backward(dSums, into: dGates, accumulate: false)
          logGates.add(gradient: dGates, in: workspace)
        }
      }
    }
  }
}
