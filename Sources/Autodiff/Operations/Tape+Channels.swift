import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each channel times a number of its own: `y = x ⊙ w`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`.
  ///   - weight: `C` numbers.
  package func channelScale(_ x: Variable, _ weight: Parameter) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(
      parameters.table[weight].shape.count == columns,
      "x \(x.shape) times \(parameters.table[weight].shape)")
    let (y, input) = (Tensor(x.shape, pool: pool), x.stored)
    // All threads read the weights.
    nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
    rowBlocks(rows, width: columns, of: [input], on: .normsAndGates) { _, part, block in
      for row in part {
        let numbers = row * columns..<(row + 1) * columns
        let (x, y) = (input.read(numbers, block(0)), y.pointer + numbers.lowerBound)
        for i in 0..<columns { y[i] = x[i] * w[i] }
      }
    }
    return record(y, inputs: [x], always: trains(weight)) { [unowned self] dy in
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let dw = gradientSums(weight)
      let width = dw == nil ? 0 : columns
      let sums = RowSums(rows: rows, width: width, workspace: workspace)
      let scratch = Tensor([workspace.team.size, columns], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(dw, width)]) { thread, part, sums in
          for row in part {
            let at = row * columns
            let x = input.read(at..<at + columns, scratch.pointer + thread * columns)
            let dy = dy.pointer + at
            for i in 0..<width { sums[i] = sums[i].addingProduct(dy[i], x[i]) }
            guard let (tensor, adds) = target else { continue }
            let dx = tensor.pointer + at
            if adds {
              for i in 0..<columns { dx[i] = dx[i].addingProduct(dy[i], w[i]) }
            } else {
              for i in 0..<columns { dx[i] = dy[i] * w[i] }
            }
          }
        }
      }
    }
  }

  /// Each head repeated for all that it serves, each channel of these times a number of its own.
  ///
  /// Concretely: `y_hc = x_gc w_hc` with `g = ⌊h G / H⌋`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, G·width]`.
  ///   - weight: `H·width` numbers, `H` a multiple of `G`.
  /// - Returns: Shape `[N, H·width]`.
  package func channelScale(_ x: Variable, repeated weight: Parameter, width: Int) -> Variable {
    let (rows, columns, all) = (
      x.shape.rows, x.shape.columns, parameters.table[weight].shape.count
    )
    precondition(
      columns % width == 0 && all % max(columns, 1) == 0,
      "x \(x.shape) in heads of \(width) times \(parameters.table[weight].shape)")
    let (heads, shared) = (all / width, all / columns)
    let (y, input) = (Tensor([rows, all], pool: pool), x.value)
    workspace.compute(.normsAndGates) {
      // All threads read the weights.
      nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
      workspace.team.parallel(rows, grain: max(1, Tape.grain / max(all, 1))) { part in
        for row in part {
          for head in 0..<heads {
            let x = input.pointer + row * columns + head / shared * width
            let (w, y) = (w + head * width, y.pointer + row * all + head * width)
            for i in 0..<width { y[i] = x[i] * w[i] }
          }
        }
      }
    }
    return record(y, inputs: [x], always: trains(weight)) { [unowned self] dy in
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let dw = gradientSums(weight)
      let isTrained = dw != nil
      let sums = RowSums(rows: rows, width: isTrained ? all : 0, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(dw, isTrained ? all : 0)]) { _, part, sums in
          for row in part {
            if let target, !target.accumulate {
              (target.tensor.pointer + row * columns).update(repeating: 0, count: columns)
            }
            for head in 0..<heads {
              let at = row * columns + head / shared * width
              let dy = dy.pointer + row * all + head * width
              if isTrained {
                let (x, sum) = (input.pointer + at, sums + head * width)
                for i in 0..<width { sum[i] = sum[i].addingProduct(dy[i], x[i]) }
              }
              guard let target else { continue }
              let (dx, w) = (target.tensor.pointer + at, w + head * width)
              for i in 0..<width { dx[i] = dx[i].addingProduct(dy[i], w[i]) }
            }
          }
        }
      }
    }
  }
}
