import Autodiff
import Kernels
import Tensors

extension Tape {
  /// cosFormer's positions: each head's numbers beside their quarter turns, `[x cos(πt/2M), x sin(πt/2M)]`, at global
  /// positions t.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·w]`, `N = rows × length`.
  ///   - kernel: M, and the numbers w of a head.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·2w]`.
  package func cosineWeighted(
    _ x: Variable, _ kernel: CosineWeights, layout: SequenceLayout, for readers: Readers = .any
  ) -> Variable {
    precondition(
      x.shape.columns % kernel.width == 0, "x \(x.shape) in heads of \(kernel.width)")
    let (rows, heads) = (x.shape.rows, x.shape.columns / kernel.width)
    let (length, offset) = (max(layout.length, 1), layout.offset)
    let position = { @Sendable (row: Int) in offset + row % length }
    let (columns, sum) = (x.shape.columns, x.sum)
    let shape: Shape = [rows, 2 * columns]
    let (y, input) = (workspace.room(for: shape, readers: readers), x.stored)
    let grain = max(1, (1 << 15) / columns)
    rowBlocks(rows, width: 2 * columns, of: [input, y], on: .normsAndGates) { _, rows, block in
      let numbers = rows.lowerBound * columns..<rows.upperBound * columns
      let results = 2 * numbers.lowerBound..<2 * numbers.upperBound
      // The kernel counts rows from the first of all.
      kernel.forward(
        input.read(numbers, block(0)) - numbers.lowerBound,
        into: y.room(results, block(1)) - results.lowerBound, rows: rows, heads: heads,
        position: position)
      y.finish(results, block(1))
    }
    return record(y, shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) {
          kernel.backward(
            dy.pointer, into: dx.pointer, rows: $0, heads: heads, accumulate: accumulate,
            position: position)
        }
      }
    }
  }
}
