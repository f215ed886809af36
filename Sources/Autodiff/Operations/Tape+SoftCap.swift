import Kernels
import Tensors

extension Tape {
  /// `y = c tanh(x / c)`, elementwise.
  package func softCap(_ x: Variable, _ cap: Float) -> Variable {
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    elementwise(y.count) { range in
      let at = range.lowerBound
      SoftCap.forward(input.pointer + at, cap: cap, into: y.pointer + at, count: range.count)
    }
    let sum = x.sum
    return record(y, inputs: [x], remembersOutput: true) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      elementwise(dy.count) { range in
        let at = range.lowerBound
        SoftCap.backward(
          y.pointer + at, cap: cap, dy.pointer + at, into: dx.pointer + at, count: range.count,
          accumulate: accumulate)
      }
    }
  }

  /// `y[n, i] = x[n, i] + b[i]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`.
  ///   - bias: `b`, shape `[C]`.
  package func shifted(_ x: Variable, by bias: Parameter) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(
      parameters.table[bias].shape.count == columns,
      "x \(x.shape) shifted by \(parameters.table[bias].shape)")
    let (y, input) = (Tensor(x.shape, pool: pool), x.value)
    workspace.compute(.normsAndGates) {
      // All threads read the bias.
      nonisolated(unsafe) let b = UnsafePointer(parameters.value(bias))
      workspace.team.parallel(rows, grain: max(1, Tape.grain / columns)) {
        RowShift.forward(input.pointer, b, into: y.pointer, rows: $0, columns: columns)
      }
    }
    let sum = x.sum
    return record(y, inputs: [x], always: trains(bias)) { [unowned self] dy in
      sum.add(dy, in: workspace)
      guard let db = gradientSums(bias) else { return }
      let sums = RowSums(rows: rows, width: columns, workspace: workspace)
      workspace.compute(.normsAndGates) {
        sums.add(to: [(db, columns)]) { _, rows, sums in
          RowShift.biasBackward(dy.pointer, into: sums, rows: rows, columns: columns)
        }
      }
    }
  }
}
