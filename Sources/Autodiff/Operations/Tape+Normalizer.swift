import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each head's numerator over its denominator, `N / (d + ε)`.
  ///
  /// - Parameter o: Shape `[N, heads·(V+1)]`.
  /// - Returns: Shape `[N, heads·V]`.
  package func normalized(_ o: Variable, heads: Int, epsilon: Float) -> Variable {
    let (rows, all) = headRows(o, heads: heads)
    let width = all - 1
    precondition(width > 0, "o \(o.shape) of \(heads) heads has denominators only")
    let y = Tensor([o.shape.rows, heads * width], pool: pool)
    let inverse = Tensor([rows], pool: pool)
    let (input, sum) = (o.value, o.sum)
    let grain = max(1, Tape.grain / width)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: grain) {
        Normalizer.divide(
          input.pointer, epsilon: epsilon, into: y.pointer, inverse: inverse.pointer, rows: $0,
          columns: width)
      }
    }
    return record(y, inputs: [o], remembersOutput: true) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) {
          Normalizer.divideBackward(
            y.pointer, inverse: inverse.pointer, dy.pointer, into: dx.pointer, rows: $0,
            columns: width, accumulate: accumulate)
        }
      }
    }
  }

  /// How many rows there are if each head is a row of its own, and how wide they are.
  private func headRows(_ x: Variable, heads: Int) -> (rows: Int, width: Int) {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(heads > 0 && columns % heads == 0, "\(heads) heads of \(x.shape)")
    return (rows * heads, columns / heads)
  }
}
