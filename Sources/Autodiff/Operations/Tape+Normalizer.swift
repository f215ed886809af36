import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each head's numerator over its denominator, `N / (d + ε)`.
  ///
  /// - Parameters:
  ///   - o: Shape `[N, heads·(V+1)]`.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, heads·V]`.
  package func normalized(
    _ o: Variable, heads: Int, epsilon: Float, for readers: Readers = .any
  ) -> Variable {
    let (rows, all) = headRows(o, heads: heads)
    let width = all - 1
    precondition(width > 0, "o \(o.shape) of \(heads) heads has denominators only")
    let shape: Shape = [o.shape.rows, heads * width]
    let y = workspace.room(for: shape, readers: readers)
    let inverse = Tensor([rows], pool: pool)
    let (input, sum) = (o.value, o.sum)
    // The kernels count rows from the first of all.
    @Sendable func part(_ rows: Range<Int>) -> Range<Int> {
      rows.lowerBound * width..<rows.upperBound * width
    }
    rowBlocks(rows, width: width, of: [y], on: .normsAndGates) { _, rows, block in
      let part = part(rows)
      Normalizer.divide(
        input.pointer, epsilon: epsilon, into: y.room(part, block(0)) - part.lowerBound,
        inverse: inverse.pointer, rows: rows, columns: width)
      y.finish(part, block(0))
    }
    return record(y, shape, inputs: [o], remembersOutput: true) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      rowBlocks(rows, width: width, of: [y], on: .normsAndGates) { _, rows, block in
        let part = part(rows)
        Normalizer.divideBackward(
          y.read(part, block(0)) - part.lowerBound, inverse: inverse.pointer, dy.pointer,
          into: dx.pointer, rows: rows, columns: width, accumulate: accumulate)
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
