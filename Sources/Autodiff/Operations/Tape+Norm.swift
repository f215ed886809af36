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
  public func rmsNorm(
    _ x: Variable, weight: Parameter? = nil, width: Int? = nil, epsilon: Float
  ) -> Variable {
    let columns = width ?? x.shape.columns
    let rows = columns == 0 ? 0 : x.shape.count / columns
    let y = Tensor(x.shape, pool: pool)
    let inverse = Tensor([rows], pool: pool)
    let w = weight.map { UnsafePointer(parameters.value($0)) }
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: max(1, Tape.grain / columns)) {
        RMSNorm.forward(
          x.value.pointer, weight: w, epsilon: epsilon, into: y.pointer, inverse: inverse.pointer,
          rows: $0, columns: columns)
      }
    }
    return record(y, inputs: [x], always: weight != nil) { [unowned self] dy in
      // Memory is taken outside `compute`, which a rehearsal leaves out.
      let (dx, accumulate) =
        x.needsGradient ? x.gradientTarget(in: workspace) : (Tensor(x.shape, pool: pool), false)
      // A weight's gradient is summed over rows in one order, whatever the threads: by one of them.
      let threads = weight == nil ? workspace.team.size : 1
      let scratch = Tensor([columns * threads], pool: pool)
      workspace.compute(.normsAndGates) {
        let w = weight.map { UnsafePointer(parameters.value($0)) }
        let dw = weight.map { parameters.gradient($0) }
        let part = (rows + threads - 1) / max(threads, 1)
        let body = { (index: Int) in
          let range = min(index * part, rows)..<min((index + 1) * part, rows)
          RMSNorm.backward(
            x.value.pointer, weight: w, inverse: inverse.pointer, dy.pointer, into: dx.pointer,
            dWeight: dw, scratch: scratch.pointer + index * columns, rows: range,
            columns: columns, accumulate: accumulate)
        }
        if threads == 1 { body(0) } else { workspace.team.workers(body) }
      }
    }
  }
}
