import Kernels
import Measurement
import Tensors

extension Tape {
  /// What a token's own key and value add to its output: `y = o + (Σ_d q_d u_d k_d) v` of each head.
  ///
  /// - Parameters:
  ///   - q: Shape `[N, H·K]`; `k` likewise.
  ///   - v: Shape `[N, H·V]`.
  ///   - weight: `u`, `H·K` numbers.
  ///   - heads: H.
  ///   - residual: `o`, shape `[N, H·V]`.
  /// - Returns: Shape `[N, H·V]`.
  package func headBonus(
    q: Variable, k: Variable, v: Variable, weight: Parameter, heads: Int,
    adding residual: Variable
  ) -> Variable {
    let shape = parameters.table[weight].shape
    let rows = q.shape.rows
    let (keys, values) = (q.shape.columns, v.shape.columns)
    precondition(
      shape.count == keys && k.shape.count == q.shape.count && values % heads == 0
        && residual.shape.count == v.shape.count,
      "a bonus of \(shape) for q \(q.shape), k \(k.shape), v \(v.shape), o \(residual.shape)")
    let bonus = HeadBonus(heads: heads, keyWidth: keys / heads, valueWidth: values / heads)
    let y = Tensor(v.shape, pool: pool)
    let (qs, ks, vs, os) = (q.stored, k.stored, v.stored, residual.value)
    // All threads read the weights.
    nonisolated(unsafe) let u = UnsafePointer(parameters.value(weight))
    let width = max(keys, values)
    rowBlocks(rows, width: width, of: [qs, ks, vs], on: .normsAndGates) { _, part, block in
      for row in part {
        let (key, value) = (row * keys, row * values)
        bonus.forward(
          q: qs.read(key..<key + keys, block(0)), k: ks.read(key..<key + keys, block(1)),
          v: vs.read(value..<value + values, block(2)), weight: u,
          residual: os.pointer + value, into: y.pointer + value)
      }
    }
    let sumOfResidual = residual.sum
    return record(y, inputs: [q, k, v, residual], always: trains(weight)) { [unowned self] dy in
      let (dq, dk) = (Tensor(q.shape, pool: pool), Tensor(k.shape, pool: pool))
      let dv = Tensor(v.shape, pool: pool)
      let du = gradientSums(weight)
      let sumCount = du == nil ? 0 : keys
      let sums = RowSums(rows: rows, width: sumCount, workspace: workspace)
      let scratch = Tensor([workspace.team.size * 3, width], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let u = UnsafePointer(parameters.value(weight))
        sums.add(to: [(du, sumCount)]) { thread, part, sums in
          let room = scratch.pointer + thread * 3 * width
          for row in part {
            let (key, value) = (row * keys, row * values)
            bonus.backward(
              q: qs.read(key..<key + keys, room), k: ks.read(key..<key + keys, room + width),
              v: vs.read(value..<value + values, room + 2 * width), weight: u,
              dy.pointer + value, dq: dq.pointer + key, dk: dk.pointer + key,
              dv: dv.pointer + value, dWeight: sumCount > 0 ? sums : nil)
          }
        }
      }
      q.add(gradient: dq, in: workspace)
      k.add(gradient: dk, in: workspace)
      v.add(gradient: dv, in: workspace)
      sumOfResidual.add(dy, in: workspace)
    }
  }
}
