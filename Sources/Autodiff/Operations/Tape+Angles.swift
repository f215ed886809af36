import Kernels
import Tensors

extension Tape {
  /// Each head's numbers turned by angles of their own: `[x cos θ, x sin θ]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·w]`.
  ///   - angles: θ, likewise; within a few turns of zero.
  ///   - width: w, the numbers of a head.
  /// - Returns: Shape `[N, H·2w]`.
  package func turned(_ x: Variable, by angles: Variable, width: Int) -> Variable {
    precondition(
      x.shape == angles.shape && x.shape.columns % width == 0,
      "x \(x.shape) by angles \(angles.shape) in heads of \(width)")
    let (rows, heads) = (x.shape.rows, x.shape.columns / width)
    let y = Tensor([rows, 2 * x.shape.columns], pool: pool)
    let grain = max(1, Tape.grain / (8 * x.shape.columns))
    let (input, turns) = (x.value, angles.value)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: grain) {
        AngleRotation.forward(
          input.pointer, turns.pointer, into: y.pointer, rows: $0, heads: heads, width: width)
      }
    }
    return record(y, inputs: [x, angles]) { [unowned self] dy in
      let (dx, dAngles) = (Tensor(x.shape, pool: pool), Tensor(x.shape, pool: pool))
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) {
          AngleRotation.backward(
            input.pointer, turns.pointer, dy.pointer, dx: dx.pointer, dAngles: dAngles.pointer,
            rows: $0, heads: heads, width: width)
        }
      }
      x.add(gradient: dx, in: workspace)
      angles.add(gradient: dAngles, in: workspace)
    }
  }

  /// Each head's numbers twice, one copy after the other.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·w]`.
  ///   - width: w, the numbers of a head.
  /// - Returns: Shape `[N, H·2w]`.
  package func doubled(_ x: Variable, width: Int) -> Variable {
    precondition(x.shape.columns % width == 0, "x \(x.shape) in heads of \(width)")
    let units = x.shape.count / width
    let y = Tensor([x.shape.rows, 2 * x.shape.columns], pool: pool)
    let (grain, input) = (max(1, Tape.grain / width), x.value)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(units, grain: grain) {
        for unit in $0 {
          for copy in 0..<2 {
            (y.pointer + (2 * unit + copy) * width).update(
              from: input.pointer + unit * width, count: width)
          }
        }
      }
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(units, grain: grain) {
          for unit in $0 {
            let (target, source) = (dx.pointer + unit * width, dy.pointer + 2 * unit * width)
            for i in 0..<width {
              let d = source[i] + source[width + i]
              target[i] = accumulate ? target[i] + d : d
            }
          }
        }
      }
    }
  }
}
