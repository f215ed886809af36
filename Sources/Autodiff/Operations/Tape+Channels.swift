import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each channel times a number of its own: `y = x ⊙ w`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`.
  ///   - weight: `C` numbers.
  package func channelScale(_ x: Variable, _ weight: Parameter) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(
      parameters.table[weight].shape.count == columns,
      "x \(x.shape) times \(parameters.table[weight].shape)")
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    workspace.compute(.normsAndGates) {
      // All threads read the weights.
      nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
      workspace.team.parallel(rows, grain: max(1, Tape.grain / max(columns, 1))) { part in
        for row in part {
          let (x, y) = (input.pointer + row * columns, y.pointer + row * columns)
          for i in 0..<columns { y[i] = x[i] * w[i] }
        }
      }
    }
    return record(y, inputs: [x], always: trains(weight)) { [unowned self] dy in
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let dw = gradientSums(weight)
      let width = dw == nil ? 0 : columns
      let sums = RowSums(rows: rows, width: width, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(dw, width)]) { _, part, sums in
          for row in part {
            let at = row * columns
            let (x, dy) = (input.pointer + at, dy.pointer + at)
            for i in 0..<width { sums[i] = sums[i].addingProduct(dy[i], x[i]) }
            guard let (tensor, adds) = target else { continue }
            let dx = tensor.pointer + at
            if adds {
              for i in 0..<columns { dx[i] = dx[i].addingProduct(dy[i], w[i]) }
            } else {
              for i in 0..<columns { dx[i] = dy[i] * w[i] }
            }
          }
        }
      }
    }
  }
}
