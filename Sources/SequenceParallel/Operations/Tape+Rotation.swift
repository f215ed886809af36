import Autodiff
import Kernels
import Tensors

extension Tape {
  /// TransNormerLLM's learned rotary positions, at global positions.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·K]`, `N = rows × length`.
  ///   - theta: Shape `[H, 1, K]`.
  /// - Returns: Shape `[N, H·2K]`.
  package func learnedRotation(_ x: Variable, theta: Parameter, layout: SequenceLayout) -> Variable
  {
    let shape = parameters.table[theta].shape
    let (heads, width, n) = (shape[0], shape[2], x.shape.rows)
    let y = Tensor([n, heads * 2 * width], pool: pool)
    let (length, offset) = (max(layout.length, 1), layout.offset)
    let position = { @Sendable (row: Int) in offset + row % length }
    let input = x.value
    workspace.compute(.normsAndGates) {
      // All threads read the angles.
      nonisolated(unsafe) let angles = UnsafePointer(parameters.value(theta))
      workspace.team.parallel(n, grain: 16) {
        LearnedRotation.forward(
          input.pointer, theta: angles, into: y.pointer, rows: $0,
          heads: heads, width: width, position: position)
      }
    }
    return record(y, inputs: [x], always: trains(theta)) { [unowned self] dy in
      let (dx, accumulate) =
        x.needsGradient ? x.gradientTarget(in: workspace) : (Tensor(x.shape, pool: pool), false)
      workspace.compute(.normsAndGates) {
        var sums = [Double](repeating: 0, count: heads * width)
        sums.withUnsafeMutableBufferPointer { sums in
          // All threads read the angles; each adds to the sums of its own heads.
          nonisolated(unsafe) let (sums, angles) = (
            sums.baseAddress!, UnsafePointer(parameters.value(theta))
          )
          workspace.team.parallel(heads) {
            LearnedRotation.backward(
              input.pointer, theta: angles, dy.pointer, into: dx.pointer,
              dTheta: sums, rows: n, heads: $0, heads: heads, width: width,
              accumulate: accumulate, position: position)
          }
        }
        guard let gradient = gradientSums(theta) else { return }
        for (index, sum) in sums.enumerated() { gradient[index] += Float(sum) }
      }
    }
  }
}
