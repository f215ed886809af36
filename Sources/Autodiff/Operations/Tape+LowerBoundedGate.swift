import Kernels
import Measurement
import Tensors

extension Tape {
  /// A forget gate above a layer's lower bound, `f = l + (1 − l) σ(x)`: its logarithm, and `1 − f`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, D]`.
  ///   - bounds: `θ` of all layers, `[L, D]`, from which `l` comes; nil for none.
  ///   - layer: The layer, from 0; layer 0 has no bound.
  ///   - readers: Who reads the second result.
  /// - Returns: Both of shape `[N, D]`; the logarithm in nats.
  package func lowerBoundedGate(
    _ x: Variable, bounds: Parameter?, layer: Int, for readers: Readers = .any
  ) -> (logarithm: Variable, complement: Variable) {
    let (rows, channels) = (x.shape.rows, x.shape.columns)
    let layers = bounds.map { parameters.table[$0].shape[0] } ?? 1
    precondition(
      bounds.map { parameters.table[$0].shape[1] == channels } ?? true && layer >= 0,
      "x \(x.shape) for bounds of \(layers) layers of another width")
    let memory = Tensor([LowerBoundedGate.memoryCount(channels: channels)], pool: pool)
    let gate = LowerBoundedGate(channels: channels, memory: memory.pointer)
    workspace.compute(.normsAndGates) {
      gate.setBounds(
        bounds.map { UnsafePointer(parameters.value($0)) }, layer: layer, layers: layers)
    }
    typealias Backward =
      @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
        UnsafeMutablePointer<Float>, Range<Int>, Bool
      ) -> Void
    func output(
      for readers: Readers = .any,
      _ forward: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Range<Int>) -> Void,
      _ backward: @escaping Backward
    ) -> Variable {
      let (y, numbers) = (workspace.room(for: x.shape, readers: readers), x.value)
      let kept = kept(x)
      let input = kept.numbers
      rowBlocks(rows, width: channels, of: [y, input], on: .normsAndGates) { _, rows, block in
        let part = rows.lowerBound * channels..<rows.upperBound * channels
        // The kernel counts rows from the first of all.
        forward(numbers.pointer, y.room(part, block(0)) - part.lowerBound, rows)
        y.finish(part, block(0))
        kept.keep(part, of: numbers.pointer)
      }
      let (sum, shape) = (x.sum, x.shape)
      return record(y, shape, inputs: [x], always: trains(bounds)) { [unowned self] dy in
        let (dx, accumulate) =
          sum.isNeeded ? sum.target(in: workspace) : (Tensor(shape, pool: pool), false)
        let blocks = BlockScratch(width: channels, of: [input], in: workspace)
        let sums = RowSums(rows: rows, width: channels, workspace: workspace)
        let total = Tensor([channels], pool: pool, kind: .buffers)
        // What the gate reads stands in it.
        _ = memory
        workspace.compute(.normsAndGates) {
          total.clear()
          sums.add(to: [(total.pointer, channels)]) { thread, rows, sums in
            BlockScratch.each(blocks, rows, thread: thread) { rows, block in
              let part = rows.lowerBound * channels..<rows.upperBound * channels
              backward(
                input.read(part, block(0)) - part.lowerBound, dy.pointer, dx.pointer, sums, rows,
                accumulate)
            }
          }
          guard let bounds, let gradient = gradientSums(bounds) else { return }
          gate.addGradient(
            total.pointer, parameters.value(bounds), layer: layer, layers: layers, to: gradient)
        }
      }
    }
    let logarithm = output(
      { gate.logarithm($0, into: $1, rows: $2) },
      {
        gate.logarithmBackward($0, $1, into: $2, sums: $3, rows: $4, accumulate: $5)
      })
    let complement = output(
      for: readers,
      { gate.complement($0, into: $1, rows: $2) },
      {
        gate.complementBackward($0, $1, into: $2, sums: $3, rows: $4, accumulate: $5)
      })
    return (logarithm, complement)
  }
}
