import Kernels
import Measurement
import Tensors

extension Tape {
  /// A router: which experts each token takes, with which weights.
  ///
  /// It computes in fp32 from unrounded weights, whatever the precision of products. What the model minimises for
  /// balance, and the routers' z-loss `(log Σ exp(logits))²`, get their gradients here.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, D]`, in fp32.
  ///   - gate: Shape `[E, D]`.
  ///   - correction: Shape `[E]`, added to scores for the choice alone; nil for nothing.
  ///   - balance: The weight of the loss for balance; 0 for none.
  ///   - zWeight: The weight of the z-loss; 0 for none.
  ///   - sequences: How many sequences the tokens are of, each of as many.
  ///   - room: Tells how many choices of each sequence each expert still takes, `[sequences, E]`, given how many choose it here;
  ///     asked where experts have a capacity.
  /// - Source: z-loss: Zoph et al., "ST-MoE" (arXiv 2202.08906), equation 5.
  package func routing(
    _ x: Variable, _ gate: Parameter, correction: Parameter? = nil, _ rule: RoutingRule,
    balance weight: Double = 0, zWeight: Double = 0, sequences: Int = 1,
    room: ((_ counts: Tensor, _ capacity: Double) throws -> Tensor)? = nil
  ) throws -> Routing {
    let (tokens, width) = (x.shape.rows, x.shape.columns)
    let (experts, chosen) = (rule.experts, rule.chosen)
    precondition(
      parameters.table[gate].shape.dimensions == [experts, width],
      "a router \(parameters.table[gate].shape) of \(experts) experts for \(x.shape)")
    let input = x.value
    let scores = Tensor([tokens, experts], pool: pool)
    let weights = Tensor([tokens, chosen], pool: pool)
    let logSums = zWeight > 0 ? Tensor([tokens], pool: pool) : nil
    let choices = Indices(count: tokens * chosen, pool: pool)
    let places = Indices(count: tokens * chosen, pool: pool)
    let sources = Indices(count: tokens * chosen, pool: pool)
    let scratch = Tensor([workspace.team.size, experts], pool: pool, kind: .buffers)
    let operations = 2 * experts * width
    workspace.counters.note(
      .projections, productOperations: Double(tokens) * Double(operations))
    try workspace.compute(.projections) {
      let gate = UnsafePointer(parameters.value(gate))
      try workspace.inBatches(tokens, operations: operations, atLeast: 64) { rows in
        BLAS.multiply(
          input.pointer + rows.lowerBound * width, lda: width, gate, transposeB: true, ldb: width,
          into: scores.pointer + rows.lowerBound * experts, ldc: experts, m: rows.count,
          n: experts, k: width)
      }
    }
    let isGiven = routing?.isReplaying == true
    if isGiven { workspace.run { routing?.replay(into: choices.pointer, count: tokens * chosen) } }
    let margins = routing != nil && !isGiven ? Tensor([tokens], pool: pool, kind: .buffers) : nil
    workspace.compute(.normsAndGates) {
      // All threads read the correction, and write rows of their own.
      nonisolated(unsafe) let correction = correction.map { UnsafePointer(parameters.value($0)) }
      nonisolated(unsafe) let chosen = choices.pointer
      workspace.team.parallel(tokens, grain: max(1, Tape.grain / (4 * experts))) { thread, rows in
        ExpertChoice.forward(
          scores.pointer, correction: correction, rule, choices: chosen,
          isGiven: isGiven, weights: weights.pointer, logSums: logSums?.pointer,
          margins: margins?.pointer, candidates: scratch.pointer + thread * experts, rows: rows)
      }
    }
    if let margins { workspace.run { record(choices, margins, of: gate) } }
    let counts = counts(of: choices, rule, tokens: tokens, sequences: sequences)
    var left: Tensor?
    if let capacity = balance?.capacity, capacity > 0, let room {
      left = try room(counts, capacity)
    }
    let rows = sort(
      choices, rule, counts: counts, room: left, tokens: tokens, places: places, sources: sources)
    if !isRecomputing {
      workspace.run {
        count(
          counts, rows, scores, of: gate, tokens: tokens, wantsScores: weight > 0)
      }
    }
    if let logSums {
      var sum = 0.0
      workspace.run {
        for t in 0..<tokens { sum += Double(logSums.pointer[t]) * Double(logSums.pointer[t]) }
      }
      note(LossTerm(ExpertBalance.zLossName, weight: zWeight, sum: sum, positions: tokens))
    }
    // Where the router is frozen, nobody reads its input again.
    let (sumOfX, kept) = (x.sum, trains(gate) ? input : nil)
    let variable = record(weights, inputs: [x], always: trains(gate)) { [unowned self] dWeights in
      let target = sumOfX.isNeeded ? sumOfX.target(in: workspace) : nil
      let d = Tensor([tokens, experts], pool: pool)
      let ofScores = weight > 0 ? Tensor([experts], pool: pool, kind: .buffers) : nil
      workspace.counters.note(
        .projections,
        productOperations: ((target == nil ? 0 : 1) + (trains(gate) ? 1 : 0))
          * Double(tokens) * Double(operations))
      workspace.compute(.normsAndGates) {
        if let ofScores { balanceGradient(weight, into: ofScores.pointer) }
        let z = zWeight > 0 ? Float(zWeight * share(of: ExpertBalance.zLossName)) : 0
        nonisolated(unsafe) let chosen = UnsafePointer(choices.pointer)
        workspace.team.parallel(tokens, grain: max(1, Tape.grain / (4 * experts))) { rows in
          ExpertChoice.backward(
            scores.pointer, chosen, weights.pointer, rule, dWeights: dWeights.pointer,
            scoreGradient: ofScores.map { UnsafePointer($0.pointer) },
            logSums: logSums.map { (UnsafePointer($0.pointer), z) }, into: d.pointer, rows: rows)
        }
      }
      try workspace.compute(.projections) {
        let weights = UnsafePointer(parameters.value(gate))
        try workspace.inBatches(tokens, operations: 2 * operations, atLeast: 64) { rows in
          let (d, first) = (d.pointer + rows.lowerBound * experts, rows.lowerBound * width)
          if let (dx, accumulate) = target {
            BLAS.multiply(
              d, lda: experts, weights, ldb: width, into: dx.pointer + first, ldc: width,
              m: rows.count, n: width, k: experts, beta: accumulate ? 1 : 0)
          }
          if let kept {
            BLAS.multiply(
              d, transposeA: true, lda: experts, kept.pointer + first, ldb: width,
              into: parameters.gradient(gate), ldc: width, m: experts, n: width, k: rows.count,
              beta: 1)
          }
        }
      }
    }
    return Routing(
      rule, tokens: tokens, weights: variable, places: places, sources: sources, rows: rows)
  }

  /// Records what a router decided.
  private func record(_ choices: Indices, _ margins: Tensor, of router: Parameter) {
    let chosen = choices.count
    routing?.record(
      RoutingRecord.Decisions(
        router: router, choices: Array(UnsafeBufferPointer(start: choices.pointer, count: chosen)),
        margins: Array(UnsafeBufferPointer(start: margins.pointer, count: margins.count)),
        isRepeated: isRecomputing || balance?.isComplete == true))
  }

  /// How many choices of each sequence fall on each expert: `[sequences, E]`, whole numbers.
  private func counts(
    of choices: Indices, _ rule: RoutingRule, tokens: Int, sequences: Int
  ) -> Tensor {
    let counts = Tensor([sequences, rule.experts], pool: pool, kind: .buffers)
    workspace.run {
      ExpertOrder.count(
        choices.pointer, count: choices.count, each: tokens / max(sequences, 1) * rule.chosen,
        sequences: sequences, experts: rule.experts, into: counts.integers)
    }
    return counts
  }

  /// Sorts choices by expert; a rehearsal assumes that all experts are chosen as often.
  private func sort(
    _ choices: Indices, _ rule: RoutingRule, counts: Tensor, room: Tensor?, tokens: Int,
    places: Indices, sources: Indices
  ) -> [Range<Int>] {
    let (experts, sequences) = (rule.experts, counts.shape.rows)
    var starts = (0...experts).map { $0 * choices.count / experts }
    workspace.run {
      starts.withUnsafeMutableBufferPointer {
        ExpertOrder.sort(
          choices.pointer, each: tokens / max(sequences, 1) * rule.chosen, sequences: sequences,
          experts: experts, counts: counts.integers, room: room?.integers,
          starts: $0.baseAddress!, places: places.pointer, sources: sources.pointer)
      }
    }
    return (0..<experts).map { starts[$0]..<starts[$0 + 1] }
  }

  /// Adds a layer's choices to those of the micro-batch.
  private func count(
    _ counts: Tensor, _ rows: [Range<Int>], _ scores: Tensor, of router: Parameter, tokens: Int,
    wantsScores: Bool
  ) {
    guard let balance else { return }
    let experts = rows.count
    let choices = (0..<experts).map { expert in
      stride(from: expert, to: counts.count, by: experts).reduce(0.0) {
        $0 + Double(counts.integers[$1])
      }
    }
    var sums = [Double](repeating: 0, count: experts)
    if wantsScores {
      for t in 0..<tokens {
        for e in 0..<experts { sums[e] += Double(scores.pointer[t * experts + e]) }
      }
    }
    balance.add(
      choices: choices, taken: rows.last?.upperBound ?? 0, scores: sums, rows: tokens,
      router: router)
  }

  /// What the loss for balance gives each row's scores: `weight E f_e` over all rows.
  private func balanceGradient(_ weight: Double, into d: UnsafeMutablePointer<Float>) {
    guard let balance else { preconditionFailure("nobody counts the choices of experts") }
    let experts = balance.choices.count
    let factor = weight * Double(experts) * share(of: ExpertBalance.lossName)
    for e in 0..<experts { d[e] = Float(factor * balance.frequency(e)) }
  }

  /// Of a term that is a mean over positions, the step's targets over its positions.
  private func share(of term: String) -> Double {
    guard let share = targetsPerPosition[term] else {
      preconditionFailure("nobody told the tape how many positions the term \(term) has")
    }
    return share
  }
}
