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
  /// - Returns: Shape `[N, H·2w]`.
  package func cosineWeighted(
    _ x: Variable, _ kernel: CosineWeights, layout: SequenceLayout
  ) -> Variable {
    precondition(
      x.shape.columns % kernel.width == 0, "x \(x.shape) in heads of \(kernel.width)")
    let (rows, heads) = (x.shape.rows, x.shape.columns / kernel.width)
    let (length, offset) = (max(layout.length, 1), layout.offset)
    let position = { @Sendable (row: Int) in offset + row % length }
    let (y, input) = (Tensor([rows, 2 * x.shape.columns], pool: pool), x.value)
    let grain = max(1, (1 << 15) / x.shape.columns)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: grain) {
        kernel.forward(
          input.pointer, into: y.pointer, rows: $0, heads: heads, position: position)
      }
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
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
