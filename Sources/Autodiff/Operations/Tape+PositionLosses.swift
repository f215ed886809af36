import Kernels
import Measurement
import Tensors

/// The losses of a shard's positions, to which several layers may add.
package final class PositionLosses {
  /// Of each position, in nats or whatever is minimised.
  package private(set) var values: [Double]

  /// Zeros.
  package init(count: Int) { values = [Double](repeating: 0, count: count) }

  /// Adds to them.
  func add(_ body: (UnsafeMutablePointer<Double>) -> Void) {
    values.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { body(base) } }
  }
}

extension Tape {
  /// Adds the mean squared difference of each row from what it should be to the losses, and its gradient to the row's.
  ///
  /// Concretely: `L_n += factor · Σ_c (y_nc − t_nc)²`.
  ///
  /// - Parameters:
  ///   - y: Shape `[N, C]`.
  ///   - target: What it should be, `[N, C]`; gets no gradient.
  ///   - losses: N losses.
  package func addSquaredDifference(
    _ y: Variable, from target: Variable, factor: Double, to losses: PositionLosses
  ) {
    let (rows, columns) = (y.shape.rows, y.shape.columns)
    precondition(
      target.shape.count == y.shape.count && losses.values.count == rows,
      "\(y.shape) beside \(target.shape), and \(losses.values.count) losses")
    let dy = isRecording && y.needsGradient ? Tensor(y.shape, pool: pool) : nil
    let (value, wanted) = (y.value, target.value)
    workspace.compute(.normsAndGates) {
      losses.add { sums in
        // Each thread writes rows of its own.
        nonisolated(unsafe) let sums = sums
        workspace.team.parallel(rows, grain: max(1, Tape.grain / max(columns, 1))) { part in
          SquaredDifference.add(
            value.pointer, wanted.pointer, factor: factor, columns: columns, rows: part,
            losses: sums, dy: dy?.pointer)
        }
      }
    }
    if let dy { y.add(gradient: dy, in: workspace) }
  }

  /// Adds a loss of each row to the losses, times a factor, and its gradient to it.
  ///
  /// - Parameters:
  ///   - rows: Shape `[N, 1]`.
  ///   - losses: N losses.
  package func addLosses(_ rows: Variable, factor: Double, to losses: PositionLosses) {
    precondition(
      rows.shape.count == losses.values.count,
      "\(rows.shape) losses beside \(losses.values.count)")
    let dy = isRecording && rows.needsGradient ? Tensor(rows.shape, pool: pool) : nil
    let value = rows.value
    workspace.compute(.normsAndGates) {
      losses.add { sums in
        for row in 0..<value.count { sums[row] += factor * Double(value.pointer[row]) }
      }
      dy?.pointer.update(repeating: Float(factor), count: value.count)
    }
    if let dy { rows.add(gradient: dy, in: workspace) }
  }
}
