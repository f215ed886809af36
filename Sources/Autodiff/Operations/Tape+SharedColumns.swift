import Kernels
import Measurement
import Tensors

extension Tape {
  /// Columns that all heads share behind each head's own: `y[n, h, :] = [x[n, h, :], shared[n, :]]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·a]`; it and what is shared may be stored for products.
  ///   - shared: Shape `[N, b]`.
  ///   - heads: `H`.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·(a + b)]`.
  package func withShared(
    _ x: Variable, _ shared: Variable, heads: Int, for readers: Readers = .any
  ) -> Variable {
    let (rows, all, b) = (x.shape.rows, x.shape.columns, shared.shape.columns)
    precondition(
      heads > 0 && all % heads == 0 && shared.shape.rows == rows,
      "\(shared.shape) behind each of \(heads) heads of \(x.shape)")
    let a = all / heads
    let width = heads * (a + b)
    let shape: Shape = [rows, width]
    let y = workspace.room(for: shape, readers: readers)
    let (own, common) = (x.stored, shared.stored)
    rowBlocks(rows, width: width, of: [y], on: .normsAndGates) { _, part, block in
      for row in part {
        let target = row * width..<(row + 1) * width
        let to = y.room(target, block(0))
        for head in 0..<heads {
          let first = row * all + head * a
          own.copy(first..<first + a, into: to + head * (a + b))
          common.copy(row * b..<(row + 1) * b, into: to + head * (a + b) + a)
        }
        y.finish(target, block(0))
      }
    }
    let (sumOfX, sumOfShared) = (x.sum, shared.sum)
    return record(y, shape, inputs: [x, shared]) { [unowned self] dy in
      let dx = sumOfX.isNeeded ? sumOfX.target(in: workspace) : nil
      let dShared = sumOfShared.isNeeded ? sumOfShared.target(in: workspace) : nil
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: max(1, Tape.grain / max(width, 1))) { part in
          for row in part {
            if let dShared, !dShared.accumulate {
              (dShared.tensor.pointer + row * b).update(repeating: 0, count: b)
            }
            for head in 0..<heads {
              let from = dy.pointer + row * width + head * (a + b)
              if let dx {
                let to = dx.tensor.pointer + row * all + head * a
                if dx.accumulate {
                  for i in 0..<a { to[i] += from[i] }
                } else {
                  to.update(from: from, count: a)
                }
              }
              if let dShared {
                let to = dShared.tensor.pointer + row * b
                for i in 0..<b { to[i] += from[a + i] }
              }
            }
          }
        }
      }
    }
  }
}
