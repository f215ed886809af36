import Kernels
import Tensors

extension Tape {
  /// Each head's numbers turned by angles of their own: `[x cos θ, x sin θ]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·w]`.
  ///   - angles: θ, likewise; within a few turns of zero.
  ///   - width: w, the numbers of a head.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·2w]`.
  package func turned(
    _ x: Variable, by angles: Variable, width: Int, for readers: Readers = .any
  ) -> Variable {
    precondition(
      x.shape == angles.shape && x.shape.columns % width == 0,
      "x \(x.shape) by angles \(angles.shape) in heads of \(width)")
    let (rows, heads) = (x.shape.rows, x.shape.columns / width)
    let columns = x.shape.columns
    let shape: Shape = [rows, 2 * columns]
    let y = workspace.room(for: shape, readers: readers)
    let (input, turns) = (x.stored, angles.value)
    // The kernel counts rows from the first of all, and takes as long as eight times as many numbers.
    let width8 = 8 * columns
    rowBlocks(rows, width: width8, of: [input, y], on: .normsAndGates) { _, rows, block in
      let numbers = rows.lowerBound * columns..<rows.upperBound * columns
      let results = 2 * numbers.lowerBound..<2 * numbers.upperBound
      AngleRotation.forward(
        input.read(numbers, block(0)) - numbers.lowerBound, turns.pointer,
        into: y.room(results, block(1)) - results.lowerBound, rows: rows, heads: heads,
        width: width)
      y.finish(results, block(1))
    }
    return record(y, shape, inputs: [x, angles]) { [unowned self] dy in
      let (dx, dAngles) = (Tensor(x.shape, pool: pool), Tensor(x.shape, pool: pool))
      rowBlocks(rows, width: width8, of: [input], on: .normsAndGates) { _, rows, block in
        let numbers = rows.lowerBound * columns..<rows.upperBound * columns
        AngleRotation.backward(
          input.read(numbers, block(0)) - numbers.lowerBound, turns.pointer, dy.pointer,
          dx: dx.pointer, dAngles: dAngles.pointer, rows: rows, heads: heads, width: width)
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
    let sum = x.sum
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
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
