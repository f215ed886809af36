import Kernels
import Measurement
import Tensors

extension Tape {
  /// Rows between two others by a weight for each channel: `y = x + (z − x) ⊙ m`.
  ///
  /// With the row of the token before as `z` it is what a token shift mixes.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`.
  ///   - z: Shape `[N, C]`.
  ///   - weight: `m`, `C` numbers.
  /// - Returns: Shape `[N, C]`.
  package func interpolation(_ x: Variable, _ z: Variable, by weight: Parameter) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(
      z.shape.count == x.shape.count && parameters.table[weight].shape.count == columns,
      "rows between \(x.shape) and \(z.shape) by \(parameters.table[weight].shape)")
    let y = Tensor(x.shape, pool: pool)
    let (from, to) = (x.value, z.value)
    workspace.compute(.normsAndGates) {
      // All threads read the weights.
      nonisolated(unsafe) let m = UnsafePointer(parameters.value(weight))
      workspace.team.parallel(rows, grain: max(1, Tape.grain / max(columns, 1))) { part in
        for row in part {
          let at = row * columns
          Interpolation.forward(
            from.pointer + at, to.pointer + at, m, into: y.pointer + at, count: columns)
        }
      }
    }
    return record(y, inputs: [x, z], always: trains(weight)) { [unowned self] dy in
      let dx = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let dz = z.needsGradient ? z.gradientTarget(in: workspace) : nil
      let dm = gradientSums(weight)
      let wantsWeight = dm != nil
      let sums = RowSums(rows: rows, width: wantsWeight ? columns : 0, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let m = UnsafePointer(parameters.value(weight))
        sums.add(to: [(dm, wantsWeight ? columns : 0)]) { _, part, sums in
          for row in part {
            let at = row * columns
            Interpolation.backward(
              from.pointer + at, to.pointer + at, m, dy.pointer + at,
              dx: dx.map { ($0.tensor.pointer + at, $0.accumulate) },
              dz: dz.map { ($0.tensor.pointer + at, $0.accumulate) },
              dm: wantsWeight ? (sums, true) : nil, count: columns)
          }
        }
      }
    }
  }

  /// Rows between two others by weights from data: `y = x + (z − x) ⊙ m`, all of one shape.
  package func interpolation(_ x: Variable, _ z: Variable, by weights: Variable) -> Variable {
    precondition(
      z.shape.count == x.shape.count && weights.shape.count == x.shape.count,
      "rows between \(x.shape) and \(z.shape) by \(weights.shape)")
    let y = Tensor(x.shape, pool: pool)
    let (from, to, m) = (x.value, z.value, weights.value)
    elementwise(y.count) { range in
      let at = range.lowerBound
      Interpolation.forward(
        from.pointer + at, to.pointer + at, m.pointer + at, into: y.pointer + at,
        count: range.count)
    }
    return record(y, inputs: [x, z, weights]) { [unowned self] dy in
      let targets = [x, z, weights].map {
        $0.needsGradient ? $0.gradientTarget(in: workspace) : nil
      }
      elementwise(dy.count) { range in
        let at = range.lowerBound
        let places = targets.map { $0.map { ($0.tensor.pointer + at, $0.accumulate) } }
        Interpolation.backward(
          from.pointer + at, to.pointer + at, m.pointer + at, dy.pointer + at, dx: places[0],
          dz: places[1], dm: places[2], count: range.count)
      }
    }
  }
}
