import Kernels
import Measurement
import Tensors

/// What the head saw of a shard.
package struct HeadResult: Sendable {
  /// Each position's loss, in nats; 0 where there is no target.
  package var losses: [Float]
  /// Each position's most likely token.
  package var predictions: [Int32]
  /// Each position's `log Σ exp(logits)`; 0 where there is no target.
  package var logSums: [Float]
  /// How many positions have a target.
  package var targets: Int
  /// Each position's largest logit, where the tape has a penalty on it; else empty.
  package var largestLogits: [Float]
  /// Each position's `log Σ exp(logits)`, whether it has a target or not, where the tape has a penalty on it; else empty.
  package var allLogSums: [Float]
  /// Each position's divergence from a teacher, `τ² KL`, where there is one; else empty.
  package var divergences: [Float]

  /// Nothing seen yet of positions with these targets.
  init(targets: [Int32], wantsLargest: Bool, wantsLogSums: Bool, wantsDivergences: Bool) {
    largestLogits = [Float](repeating: 0, count: wantsLargest ? targets.count : 0)
    allLogSums = [Float](repeating: 0, count: wantsLogSums ? targets.count : 0)
    divergences = [Float](repeating: 0, count: wantsDivergences ? targets.count : 0)
    losses = [Float](repeating: 0, count: targets.count)
    (predictions, logSums) = ([Int32](repeating: 0, count: targets.count), losses)
    self.targets = targets.count { $0 >= 0 }
  }

  /// Losses that layers found, in which every position counts.
  package init(_ losses: PositionLosses) {
    self.losses = losses.values.map { Float($0) }
    predictions = [Int32](repeating: 0, count: self.losses.count)
    (logSums, largestLogits, allLogSums, divergences) = ([], [], [], [])
    targets = self.losses.count
  }

  /// The sum of the losses in the order of the positions, in Double.
  package var sum: Double { losses.reduce(0) { $0 + Double($1) } }

  /// The sum of the squares of `logSums` in the order of the positions, in Double.
  package var squaredLogSums: Double { logSums.reduce(0) { $0 + Double($1) * Double($1) } }

  /// The sum of the squares of `allLogSums` in the order of the positions, in Double.
  package var allSquaredLogSums: Double {
    allLogSums.reduce(0) { $0 + Double($1) * Double($1) }
  }

  /// The sum of `divergences` in the order of the positions, in Double.
  package var divergence: Double { divergences.reduce(0) { $0 + Double($1) } }
}

extension Tape {
  /// The name under which `targetsPerPosition` has the positions that the largest logits' penalty is a mean over.
  package static let largestLogit = "largest_logit"
  /// The same of the penalty on all positions' log sums.
  package static let logSum = "head_z_loss"

  /// The head and its softmax cross-entropy, in tiles of rows: no `[T, vocabulary]` array ever exists.
  ///
  /// Where the tape has a `largestLogitPenalty` or a `logSumPenalty`, the gradient gets theirs, too.
  ///
  /// While recording, the gradient of the *sum* of the losses is formed in the same pass, so that logits
  /// are computed once; the division by the global count of targets comes with the optimizer. Where the gradient
  /// that comes in is not 1, the tiles are computed once more for what is missing of the weights' gradients.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, width]`.
  ///   - weight: Shape `[vocabulary, width]`.
  ///   - bias: Shape `[vocabulary]`, or nil.
  ///   - targets: `N` tokens to predict; negative where there is no loss.
  ///   - softCap: What logits are kept within, `c tanh(z / c)`; nil for what the products are.
  ///   - zWeight: ζ, the weight of `Σ (log Σ exp(logits))²` over positions with a target, which is added to the
  ///     gradient. Source: Chowdhery et al., "PaLM" (arXiv 2204.02311), section 5.
  ///   - soft: A teacher's distributions, whose divergence is added to the gradient; the figures have it by itself.
  ///   - logits: Receives the logits, `[N, vocabulary]`, where somebody wants them.
  /// - Returns: The sum of the losses, the seed of the backward pass, and the figures.
  package func crossEntropy(
    _ x: Variable, _ weight: Parameter, bias: Parameter? = nil, targets: [Int32],
    softCap: Float? = nil, zWeight: Double = 0, soft: SoftTargets? = nil,
    logits wanted: UnsafeMutablePointer<Float>? = nil
  ) throws -> (loss: Variable, result: HeadResult) {
    precondition(
      targets.count == x.shape.rows, "\(targets.count) targets for \(x.shape.rows) positions")
    let penalty =
      largestLogitPenalty == 0
      ? 0 : largestLogitPenalty * (targetsPerPosition[Tape.largestLogit] ?? 1)
    let everyWeight = logSumPenalty * (targetsPerPosition[Tape.logSum] ?? 1)
    let tiles = HeadTiles(
      x: x.operand(in: workspace), weight: weight, bias: bias, softCap: softCap, targets: targets,
      zWeight: Float(zWeight), everyWeight: Float(everyWeight), penalty: Float(penalty))
    var result = HeadResult(
      targets: targets, wantsLargest: penalty != 0, wantsLogSums: logSumPenalty != 0,
      wantsDivergences: soft != nil)
    let adapter = parameters.table.adapters[weight]
    let trains = trains(weight, bias, adapter?.down, adapter?.up)
    let dx = isRecording && x.needsGradient ? Tensor(x.shape, pool: pool) : nil
    try tiles.run(
      self, into: &result, soft: soft, logits: wanted, dx: dx,
      addsToWeights: isRecording && trains, scale: 1)
    let learns = soft != nil
    // A rehearsal's tensors cannot be written; its loss is a seed without a value.
    let sum = Tensor([1], pool: pool)
    workspace.compute(.head) { sum.pointer[0] = Float(result.sum) }
    let loss = record(sum, inputs: [x], always: trains) { [unowned self] gradient in
      var factor: Float = 1
      workspace.compute(.head) { factor = gradient.pointer[0] }
      if factor != 1, trains {
        precondition(!learns, "a gradient of \(factor) for a loss with a teacher, who is gone")
        var again = result
        try tiles.run(
          self, into: &again, soft: nil, logits: nil, dx: nil, addsToWeights: true,
          scale: factor - 1)
      }
      guard let dx else { return }
      if factor != 1 {
        for i in 0..<dx.count { dx.pointer[i] *= factor }
      }
      x.add(gradient: dx, in: workspace)
    }
    return (loss, result)
  }
}

/// The head's products and losses, tile by tile.
private struct HeadTiles {
  let x: Operand
  let weight: Parameter
  let bias: Parameter?
  let softCap: Float?
  let targets: [Int32]
  let zWeight: Float
  /// The weight of the squared log sum of every position, with a target or without.
  let everyWeight: Float
  /// What the largest logit times this adds to its own gradient.
  let penalty: Float

  /// Goes through all tiles.
  ///
  /// - Parameters:
  ///   - result: Receives losses, predictions, log sums and divergences.
  ///   - soft: A teacher's distributions.
  ///   - dx: Receives the gradient of `x`, where it is wanted.
  ///   - addsToWeights: Whether gradients of the weights are added to theirs.
  ///   - scale: What gradients are multiplied by.
  func run(
    _ tape: Tape, into result: inout HeadResult, soft: SoftTargets?,
    logits wanted: UnsafeMutablePointer<Float>?, dx: Tensor?, addsToWeights: Bool, scale: Float
  ) throws {
    let (parameters, workspace) = (tape.parameters, tape.workspace)
    let shape = parameters.table[weight].shape
    let (vocabulary, width, n) = (shape[0], shape[1], targets.count)
    let rows = max(16, min(1024, (1 << 20) / max(vocabulary, 1)))
    let tile = Tensor([min(rows, max(n, 1)), vocabulary], pool: tape.pool, kind: .buffers)
    // What the capped logits were, for the way back through the cap.
    let capped = softCap.map { _ in Tensor(tile.shape, pool: tape.pool, kind: .buffers) }
    let taught = soft.map { SoftTiles($0, rows: tile.shape[0], vocabulary: vocabulary) }
    let (products, matrix) = (workspace.products, tape.weight(weight, for: .output))
    let hasGradients = addsToWeights || dx != nil
    let count = 1 + (dx == nil ? 0.0 : 1) + (addsToWeights && tape.trains(weight) ? 1 : 0)
    workspace.counters.note(
      .head, productOperations: 2 * count * Double(n) * Double(vocabulary) * Double(width))
    let backward = dx == nil ? nil : tape.weight(weight, for: .inputGradient)
    // The logits' gradients as products read them.
    let dLogits = hasGradients ? workspace.operandRoom(of: tile) : Operand(tile)
    // What is added to the gradients, or made of them in fp32, before products read them.
    let isChanged =
      softCap != nil || soft != nil || (addsToWeights && bias.map { tape.trains($0) } == true)
    let low = AdaptedRows(
      of: weight, tape, for: hasGradients ? ProductDirection.allCases : [.output])
    let (hidden, dHidden) = (
      low.map { HiddenRows(tile.shape[0], rank: $0.rank, kind: .buffers, in: workspace) },
      low.map { HiddenRows(tile.shape[0], rank: $0.rank, kind: .buffers, in: workspace) }
    )
    for start in stride(from: 0, to: n, by: rows) {
      let m = min(rows, n - start)
      workspace.compute(.head) {
        // All threads work on parts of the tile.
        nonisolated(unsafe) let z = tile.pointer
        if let bias {
          let b = parameters.value(bias)
          for row in 0..<m { (z + row * vocabulary).update(from: b, count: vocabulary) }
        }
        let x = x.from(start * width)
        products.output(x, matrix, into: Operand(tile), count: m, beta: bias == nil ? 0 : 1)
        if let low, let hidden {
          low.hidden(x, into: hidden, count: m)
          low.add(hidden, to: Operand(tile), count: m)
        }
        if let softCap, let capped {
          eachPart(of: m * vocabulary, workspace.team) {
            SoftCap.forward(z + $0, cap: softCap, into: z + $0, count: $1)
            (capped.pointer + $0).update(from: z + $0, count: $1)
          }
        }
        wanted.map { ($0 + start * vocabulary).update(from: z, count: m * vocabulary) }
        taught?.form(start..<start + m, workspace)
        losses(
          start..<start + m, z, vocabulary, into: &result, soft: taught,
          gradient: hasGradients ? (isChanged ? Operand(tile) : dLogits) : nil, scale: scale,
          workspace.team)
        if let softCap, let capped, hasGradients {
          eachPart(of: m * vocabulary, workspace.team) {
            SoftCap.backward(
              capped.pointer + $0, cap: softCap, z + $0, into: z + $0, count: $1,
              accumulate: false)
          }
        }
        if hasGradients, isChanged {
          workspace.round(z, into: dLogits, count: m * vocabulary)
        }
        if let dx, let backward {
          products.inputGradient(
            dLogits, backward, into: dx.pointer + start * width, count: m, beta: 0)
        }
        if hasGradients, let low, let hidden, let dHidden,
          let adapter = parameters.table.adapters[weight]
        {
          low.addGradients(
            dLogits, x: addsToWeights && tape.trains(adapter.down) ? x : nil,
            h: addsToWeights && tape.trains(adapter.up) ? hidden.rows : nil,
            dh: dHidden, dx: dx.map { $0.pointer + start * width }, count: m)
        }
        guard addsToWeights else { return }
        if let dw = tape.gradientSums(weight) {
          products.addWeightGradient(
            dLogits, x, to: dw, rows: vocabulary, columns: width, count: m)
        }
        if let bias, tape.trains(bias) {
          // A tile has few rows and many columns, so threads share the columns; each is summed in one order, by
          // one thread.
          nonisolated(unsafe) let (z, db) = (z, parameters.gradient(bias))
          workspace.team.parallel(vocabulary, grain: max(16, Tape.grain / m)) { columns in
            for row in 0..<m {
              let z = z + row * vocabulary
              for i in columns { db[i] += z[i] }
            }
          }
        }
      }
      try workspace.poll()
    }
  }

  /// Works on a tile's numbers over all threads.
  private func eachPart(
    of count: Int, _ team: ThreadTeam, _ body: @Sendable (_ first: Int, _ count: Int) -> Void
  ) {
    team.parallel(count, grain: Tape.grain) { body($0.lowerBound, $0.count) }
  }

  /// The losses of some positions, whose logits are used up by their gradients where these are wanted.
  private func losses(
    _ positions: Range<Int>, _ z: UnsafeMutablePointer<Float>, _ vocabulary: Int,
    into result: inout HeadResult, soft: SoftTiles?, gradient: Operand?, scale: Float,
    _ team: ThreadTeam
  ) {
    if let soft {
      result.divergences.withUnsafeMutableBufferPointer { divergences in
        // Each thread writes rows of its own.
        nonisolated(unsafe) let (z, divergences) = (z, divergences)
        let start = positions.lowerBound
        team.parallel(positions.count, grain: max(1, Tape.grain / 4 / vocabulary)) { range in
          for row in range where targets[start + row] >= 0 {
            divergences[start + row] = soft.divergence(
              row: row, from: z + row * vocabulary, gradient: gradient != nil, scale: scale)
          }
        }
      }
    }
    result.losses.withUnsafeMutableBufferPointer { losses in
      result.predictions.withUnsafeMutableBufferPointer { predictions in
        result.logSums.withUnsafeMutableBufferPointer { logSums in
          result.largestLogits.withUnsafeMutableBufferPointer { largest in
            result.allLogSums.withUnsafeMutableBufferPointer { allLogSums in
              // Each thread writes rows of its own.
              nonisolated(unsafe) let (z, losses, predictions, logSums, largest, allLogSums) =
                (z, losses, predictions, logSums, largest, allLogSums)
              let start = positions.lowerBound
              team.parallel(positions.count, grain: max(1, Tape.grain / 4 / vocabulary)) { range in
                for row in range {
                  let one = CrossEntropy.row(
                    z + row * vocabulary, count: vocabulary, target: targets[start + row],
                    gradient: gradient?.from(row * vocabulary), zWeight: zWeight,
                    everyWeight: everyWeight, largestWeight: penalty, scale: scale)
                  if penalty != 0 { largest[start + row] = one.largest }
                  if let soft, gradient != nil, targets[start + row] >= 0 {
                    soft.addGradient(row: row, to: z + row * vocabulary)
                  }
                  if everyWeight != 0 { allLogSums[start + row] = one.logSum }
                  losses[start + row] = one.loss
                  predictions[start + row] = one.best
                  logSums[start + row] = targets[start + row] >= 0 ? one.logSum : 0
                }
              }
            }
          }
        }
      }
    }
  }
}
