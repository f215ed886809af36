import Kernels
import Measurement
import Tensors

/// What the head saw of a shard.
package struct HeadResult: Sendable {
  /// Each position's loss, in nats; 0 where there is no target.
  package var losses: [Float]
  /// Each position's most likely token.
  package var predictions: [Int32]
  /// How many positions have a target.
  package var targets: Int

  /// The sum of the losses in the order of the positions, in Double.
  package var sum: Double { losses.reduce(0) { $0 + Double($1) } }
}

extension Tape {
  /// The head and its softmax cross-entropy, in tiles of rows: no `[T, vocabulary]` array ever exists.
  ///
  /// While recording, the gradient of the *sum* of the losses is formed in the same pass, so that logits
  /// are computed once; the division by the global count of targets comes with the optimizer.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, width]`.
  ///   - weight: Shape `[vocabulary, width]`.
  ///   - bias: Shape `[vocabulary]`, or nil.
  ///   - targets: `N` tokens to predict; negative where there is no loss.
  ///   - logits: Receives the logits, `[N, vocabulary]`, where somebody wants them.
  /// - Returns: The sum of the losses (the seed of the backward pass, always of weight 1), and the figures.
  package func crossEntropy(
    _ x: Variable, _ weight: Parameter, bias: Parameter? = nil, targets: [Int32],
    logits wanted: UnsafeMutablePointer<Float>? = nil
  ) throws -> (loss: Variable, result: HeadResult) {
    let shape = parameters.table[weight].shape
    let (vocabulary, width, n) = (shape[0], shape[1], x.shape.rows)
    precondition(targets.count == n, "\(targets.count) targets for \(n) positions")
    var result = HeadResult(
      losses: [Float](repeating: 0, count: n), predictions: [Int32](repeating: 0, count: n),
      targets: targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) })
    let recording = isRecording
    let dx = recording ? Tensor(x.shape, pool: pool) : nil
    let rows = max(16, min(1024, (1 << 20) / max(vocabulary, 1)))
    let tile = Tensor([min(rows, max(n, 1)), vocabulary], pool: pool, kind: .buffers)
    let w = parameters.value(weight)
    for start in stride(from: 0, to: n, by: rows) {
      let m = min(rows, n - start)
      workspace.compute(.head) {
        let z = tile.pointer
        if let bias {
          let b = parameters.value(bias)
          for row in 0..<m { (z + row * vocabulary).update(from: b, count: vocabulary) }
        }
        BLAS.multiply(
          x.value.pointer + start * width, lda: width, w, transposeB: true, ldb: width, into: z,
          ldc: vocabulary, m: m, n: vocabulary, k: width, beta: bias == nil ? 0 : 1)
        wanted.map { ($0 + start * vocabulary).update(from: z, count: m * vocabulary) }
        result.losses.withUnsafeMutableBufferPointer { losses in
          result.predictions.withUnsafeMutableBufferPointer { predictions in
            // Each thread writes rows of its own.
            nonisolated(unsafe) let (z, losses, predictions) = (z, losses, predictions)
            workspace.team.parallel(m, grain: max(1, Tape.grain / 4 / vocabulary)) { range in
              for row in range {
                let one = CrossEntropy.row(
                  z + row * vocabulary, count: vocabulary, target: targets[start + row],
                  gradient: recording)
                losses[start + row] = one.loss
                predictions[start + row] = one.best
              }
            }
          }
        }
        guard let dx else { return }
        BLAS.multiply(
          z, lda: vocabulary, w, ldb: width, into: dx.pointer + start * width, ldc: width, m: m,
          n: width, k: vocabulary)
        BLAS.multiply(
          z, transposeA: true, lda: vocabulary, x.value.pointer + start * width, ldb: width,
          into: parameters.gradient(weight), ldc: width, m: vocabulary, n: width, k: m, beta: 1)
        if let bias {
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
    // A rehearsal's tensors cannot be written; its loss is a seed without a value.
    let sum = Tensor([1], pool: pool)
    workspace.compute(.head) { sum.pointer[0] = Float(result.sum) }
    let loss = record(sum, inputs: [x]) { [unowned self] _ in
      if let dx { x.add(gradient: dx, in: workspace) }
    }
    return (loss, result)
  }
}
