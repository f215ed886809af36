import Autodiff
import Kernels
import Tensors

extension Tape {
  /// The sums of softmax attention to recent tokens, not yet divided by each other, so that others can be added to both.
  ///
  /// Concretely, with scores `s_tj = scale · q_t k_j` of the keys that a query sees and their largest `m_t`: of each head
  /// `[Σ_j e^{s_tj − m_t} v_j, Σ_j e^{s_tj − m_t}]`. Since nothing cancels it, `m_t` is a part of the function: its
  /// gradient goes to the key that it is of.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`.
  ///   - recent: Keys and values of the shard's tokens and those before; their heads serve neighbouring heads of queries.
  ///   - dimension: `d`.
  ///   - scale: What scores are multiplied by; `d^−½` where nil.
  /// - Returns: `[N, heads·(d+1)]`.
  /// - Source: LoLCATs (arXiv 2410.10254), section 3.3.
  package func windowSums(
    q: Variable, recent: RecentTokens, span: AttentionSpan, dimension d: Int, scale: Float? = nil
  ) throws -> Variable {
    let kernel = SoftmaxAttention(
      dimension: d, scale: scale ?? 1 / Float(d).squareRoot())
    let (stored, shape, sumOfQ) = (q.stored, q.shape, q.sum)
    func makeRun() -> WindowRun {
      WindowRun(kernel, q: stored, shape: shape, recent: recent, span: span, headStride: d + 1)
    }
    let run = makeRun()
    let (layout, heads) = (recent.pass.layout, run.heads)
    let y = Tensor([q.shape.rows, heads * (d + 1)], pool: pool)
    let (maximum, sum, maximal) = (run.perQuery(), run.perQuery(), run.perQuery())
    try workspace.counters.measure(.attention) {
      try run.forward(o: y, maximum: maximum, sum: sum, maximal: maximal, divides: false)
      eachUnit(run, layout) { unit, token, at in
        y.pointer[at + d] = sum.pointer[unit * layout.length + token]
      }
    }
    return record(y, inputs: [q, recent.tokens], remembersOutput: true) { [unowned self] dy in
      try workspace.counters.measure(.attention) {
        let (run, dq) = (makeRun(), Tensor(shape, pool: pool))
        let (delta, dMaxima) = (run.perQuery(), run.perQuery())
        let dAll = clearedTarget(recent.tokens)
        workspace.compute(.attention) { dq.clear() }
        eachUnit(run, layout) { unit, token, at in
          let (o, dO, index) = (y.pointer + at, dy.pointer + at, unit * layout.length + token)
          delta.pointer[index] = -dO[d]
          dMaxima.pointer[index] = -Reduction.dot(o, dO, d + 1)
        }
        try run.backward(
          dO: dy, logSum: maximum, delta: delta, dq: dq, dAll: dAll,
          maxima: (at: maximal, gradients: dMaxima))
        sumOfQ.add(dq, in: workspace)
      }
    }
  }

  /// Softmax attention to recent tokens, and to keys and values beside them that every query sees: one softmax over both.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`.
  ///   - recent: Keys and values of the shard's tokens and those before; their heads serve neighbouring heads of queries.
  ///   - meta: The keys and values beside them, each `[m, heads, d]`; nil for none.
  ///   - dimension: `d`.
  /// - Returns: `[N, heads·d]`.
  /// - Source: Lizard (arXiv 2507.09025).
  package func windowAttention(
    q: Variable, recent: RecentTokens, span: AttentionSpan, meta: (k: Parameter, v: Parameter)?,
    dimension d: Int
  ) throws -> Variable {
    let kernel = SoftmaxAttention(dimension: d, scale: 1 / Float(d).squareRoot())
    let (layout, width) = (recent.pass.layout, q.shape.columns)
    // Weights may lie elsewhere in the backward pass, so what the kernel reads is a copy.
    func copy(_ parameter: Parameter) -> Tensor {
      let count = parameters.table[parameter].shape.count
      precondition(count % width == 0, "meta tokens of \(count) numbers beside q \(q.shape)")
      let tensor = Tensor([count / width, width], pool: pool)
      workspace.compute(.attention) {
        tensor.pointer.update(from: parameters.value(parameter), count: count)
      }
      return tensor
    }
    let extra = meta.map { (k: copy($0.k), v: copy($0.v)) }
    let (stored, shape, sumOfQ) = (q.stored, q.shape, q.sum)
    func makeRun() -> WindowRun {
      WindowRun(
        kernel, q: stored, shape: shape, recent: recent, span: span, extra: extra, headStride: d)
    }
    let run = makeRun()
    let y = Tensor(shape, pool: pool)
    let logSum = run.perQuery()
    try workspace.counters.measure(.attention) {
      try run.forward(
        o: y, maximum: logSum, sum: run.perQuery(), maximal: nil, divides: true)
    }
    return record(
      y, inputs: [q, recent.tokens], always: trains(meta?.k, meta?.v), remembersOutput: true
    ) { [unowned self] dy in
      try workspace.counters.measure(.attention) {
        let (run, dq) = (makeRun(), Tensor(shape, pool: pool))
        let delta = run.perQuery()
        let dAll = clearedTarget(recent.tokens)
        let dExtra = extra.map {
          (k: Tensor($0.k.shape, pool: pool), v: Tensor($0.v.shape, pool: pool))
        }
        workspace.compute(.attention) {
          dq.clear()
          dExtra?.k.clear()
          dExtra?.v.clear()
        }
        eachUnit(run, layout) { unit, token, at in
          let (o, dO) = (y.pointer + at, dy.pointer + at)
          delta.pointer[unit * layout.length + token] = Reduction.dot(o, dO, d)
        }
        try run.backward(
          dO: dy, logSum: logSum, delta: delta, dq: dq, dAll: dAll, dExtra: dExtra)
        sumOfQ.add(dq, in: workspace)
        guard let meta, let dExtra else { return }
        for (parameter, gradient) in [(meta.k, dExtra.k), (meta.v, dExtra.v)] {
          guard let sums = gradientSums(parameter) else { continue }
          workspace.compute(.attention) {
            for i in 0..<gradient.count { sums[i] += gradient.pointer[i] }
          }
        }
      }
    }
  }

  /// Room that gradients of recent tokens are added to, whether or not anybody wants them.
  private func clearedTarget(_ tokens: Variable) -> Tensor {
    let (target, accumulate) =
      tokens.needsGradient
      ? tokens.gradientTarget(in: workspace) : (Tensor(tokens.shape, pool: pool), false)
    workspace.compute(.attention) { if !accumulate { target.clear() } }
    return target
  }

  /// Works on every query of every head, over all threads.
  private func eachUnit(
    _ run: WindowRun, _ layout: SequenceLayout,
    _ body: @Sendable (_ unit: Int, _ token: Int, _ place: Int) -> Void
  ) {
    workspace.compute(.attention) {
      workspace.team.parallel(layout.rows * run.heads) { units in
        for unit in units {
          for token in 0..<layout.length {
            body(unit, token, run.place(unit) + token * run.outputStride)
          }
        }
      }
    }
  }
}
