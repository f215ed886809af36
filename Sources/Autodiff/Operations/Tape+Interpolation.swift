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
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, C]`.
  package func interpolation(
    _ x: Variable, _ z: Variable, by weight: Parameter, for readers: Readers = .any
  ) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(
      z.shape.count == x.shape.count && parameters.table[weight].shape.count == columns,
      "rows between \(x.shape) and \(z.shape) by \(parameters.table[weight].shape)")
    let y = workspace.room(for: x.shape, readers: readers)
    let (from, to) = (x.stored, z.stored)
    // All threads read the weights.
    nonisolated(unsafe) let m = UnsafePointer(parameters.value(weight))
    rowBlocks(rows, width: columns, of: [from, to, y], on: .normsAndGates) { _, part, block in
      for row in part {
        let numbers = row * columns..<(row + 1) * columns
        Interpolation.forward(
          from.read(numbers, block(0)), to.read(numbers, block(1)), m,
          into: y.room(numbers, block(2)), count: columns)
        y.finish(numbers, block(2))
      }
    }
    return record(y, x.shape, inputs: [x, z], always: trains(weight)) { [unowned self] dy in
      let dx = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let dz = z.needsGradient ? z.gradientTarget(in: workspace) : nil
      let dm = gradientSums(weight)
      let wantsWeight = dm != nil
      let sums = RowSums(rows: rows, width: wantsWeight ? columns : 0, workspace: workspace)
      let scratch = Tensor([workspace.team.size * 2, columns], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let m = UnsafePointer(parameters.value(weight))
        sums.add(to: [(dm, wantsWeight ? columns : 0)]) { thread, part, sums in
          let room = scratch.pointer + thread * 2 * columns
          for row in part {
            let at = row * columns
            Interpolation.backward(
              from.read(at..<at + columns, room), to.read(at..<at + columns, room + columns), m,
              dy.pointer + at,
              dx: dx.map { ($0.tensor.pointer + at, $0.accumulate) },
              dz: dz.map { ($0.tensor.pointer + at, $0.accumulate) },
              dm: wantsWeight ? (sums, true) : nil, count: columns)
          }
        }
      }
    }
  }

  /// Rows between two others by weights from data: `y = x + (z − x) ⊙ m`, all of one shape; for some readers.
  package func interpolation(
    _ x: Variable, _ z: Variable, by weights: Variable, for readers: Readers = .any
  ) -> Variable {
    precondition(
      z.shape.count == x.shape.count && weights.shape.count == x.shape.count,
      "rows between \(x.shape) and \(z.shape) by \(weights.shape)")
    let y = workspace.room(for: x.shape, readers: readers)
    let (from, to, m) = (x.stored, z.stored, weights.stored)
    blocks(x.shape.count, of: [from, to, m, y]) { part, block in
      Interpolation.forward(
        from.read(part, block(0)), to.read(part, block(1)), m.read(part, block(2)),
        into: y.room(part, block(3)), count: part.count)
      y.finish(part, block(3))
    }
    return record(y, x.shape, inputs: [x, z, weights]) { [unowned self] dy in
      let targets = [x, z, weights].map {
        $0.needsGradient ? $0.gradientTarget(in: workspace) : nil
      }
      blocks(dy.count, of: [from, to, m]) { part, block in
        let at = part.lowerBound
        let places = targets.map { $0.map { ($0.tensor.pointer + at, $0.accumulate) } }
        Interpolation.backward(
          from.read(part, block(0)), to.read(part, block(1)), m.read(part, block(2)),
          dy.pointer + at, dx: places[0], dz: places[1], dm: places[2], count: part.count)
      }
    }
  }
}
