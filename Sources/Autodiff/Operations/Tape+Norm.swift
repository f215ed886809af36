import Kernels
import Measurement
import Tensors

extension Tape {
  /// Root-mean-square normalisation over the last `width` numbers.
  ///
  /// - Parameters:
  ///   - x: Any shape whose count is a multiple of `width`.
  ///   - weight: Shape `[width]`, or nil for SimpleRMSNorm.
  ///   - width: How many numbers are normalised together; the last extent where nil.
  ///   - epsilon: Added to the mean square.
  package func rmsNorm(
    _ x: Variable, weight: Parameter? = nil, width: Int? = nil, epsilon: Float
  ) -> Variable {
    let columns = width ?? x.shape.columns
    let rows = columns == 0 ? 0 : x.shape.count / columns
    let y = Tensor(x.shape, pool: pool)
    let inverse = Tensor([rows], pool: pool)
    let input = x.value
    // All threads read the weights.
    nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: max(1, Tape.grain / columns)) {
        RMSNorm.forward(
          input.pointer, weight: w, epsilon: epsilon, into: y.pointer, inverse: inverse.pointer,
          rows: $0, columns: columns)
      }
    }
    return record(y, inputs: [x], always: trains(weight)) { [unowned self] dy in
      // Memory is taken outside `compute`, which a rehearsal leaves out.
      let (dx, accumulate) =
        x.needsGradient ? x.gradientTarget(in: workspace) : (Tensor(x.shape, pool: pool), false)
      guard let weight else {
        workspace.compute(.normsAndGates) {
          workspace.team.parallel(rows, grain: max(1, Tape.grain / columns)) {
            RMSNorm.backward(
              input.pointer, inverse: inverse.pointer, dy.pointer, into: dx.pointer, rows: $0,
              columns: columns, accumulate: accumulate)
          }
        }
        return
      }
      let sums = RowSums(rows: rows, width: columns, workspace: workspace)
      let scratch = Tensor([workspace.team.size, columns], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        // All threads read the weights.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(gradientSums(weight), columns)]) { thread, rows, dw in
          RMSNorm.backward(
            input.pointer, weight: (w, dw, scratch.pointer + thread * columns),
            inverse: inverse.pointer, dy.pointer, into: dx.pointer, rows: rows, columns: columns,
            accumulate: accumulate)
        }
      }
    }
  }
}
