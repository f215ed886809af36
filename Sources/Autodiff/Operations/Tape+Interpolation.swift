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
    let (first, second) = (x.stored, z.stored)
    let (keptX, keptZ) = (kept(x), kept(z))
    let (from, to) = (keptX.numbers, keptZ.numbers)
    // All threads read the weights.
    nonisolated(unsafe) let m = UnsafePointer(parameters.value(weight))
    rowBlocks(rows, width: columns, of: [first, second, y, from, to], on: .normsAndGates) {
      _, part, block in
      for row in part {
        let numbers = row * columns..<(row + 1) * columns
        let (x, z) = (first.read(numbers, block(0)), second.read(numbers, block(1)))
        Interpolation.forward(x, z, m, into: y.room(numbers, block(2)), count: columns)
        y.finish(numbers, block(2))
        keptX.keep(numbers, x)
        keptZ.keep(numbers, z)
      }
    }
    let (sumOfX, sumOfZ) = (x.sum, z.sum)
    return record(y, x.shape, inputs: [x, z], always: trains(weight)) { [unowned self] dy in
      let dx = sumOfX.isNeeded ? sumOfX.target(in: workspace) : nil
      let dz = sumOfZ.isNeeded ? sumOfZ.target(in: workspace) : nil
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
    let inputs = [x, z, weights]
    let (first, second, third) = (x.stored, z.stored, weights.stored)
    let copies = inputs.map { kept($0) }
    let (from, to, m) = (copies[0].numbers, copies[1].numbers, copies[2].numbers)
    blocks(x.shape.count, of: [first, second, third, y, from, to, m]) { part, block in
      let (x, z) = (first.read(part, block(0)), second.read(part, block(1)))
      let weights = third.read(part, block(2))
      Interpolation.forward(x, z, weights, into: y.room(part, block(3)), count: part.count)
      y.finish(part, block(3))
      copies[0].keep(part, x)
      copies[1].keep(part, z)
      copies[2].keep(part, weights)
    }
    let sums = inputs.map(\.sum)
    return record(y, x.shape, inputs: inputs) { [unowned self] dy in
      let targets = sums.map { $0.isNeeded ? $0.target(in: workspace) : nil }
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
