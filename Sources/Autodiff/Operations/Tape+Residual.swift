import Kernels
import Tensors

extension Tape {
  /// `y = a + b`, both of one shape.
  package func sum(_ a: Variable, _ b: Variable) -> Variable {
    precondition(a.shape.count == b.shape.count, "sum of \(a.shape) and \(b.shape)")
    let y = Tensor(a.shape, pool: pool)
    let (left, right) = (a.value, b.value)
    elementwise(y.count) { range in
      for i in range { y.pointer[i] = left.pointer[i] + right.pointer[i] }
    }
    let (da, db) = (a.sum, b.sum)
    return record(y, inputs: [a, b]) { [unowned self] dy in
      // Both may share the gradient; who adds to it copies it first.
      da.add(dy, in: workspace)
      db.add(dy, in: workspace)
    }
  }

  /// `y = α a + β b`, both of one shape.
  package func sum(
    _ a: Variable, _ b: Variable, times factors: (a: Float, b: Float)
  ) -> Variable {
    precondition(a.shape.count == b.shape.count, "sum of \(a.shape) and \(b.shape)")
    let y = Tensor(a.shape, pool: pool)
    let (left, right, α, β) = (a.value, b.value, factors.a, factors.b)
    elementwise(y.count) { range in
      for i in range {
        y.pointer[i] = (α * left.pointer[i]).addingProduct(β, right.pointer[i])
      }
    }
    let sums = [(a.sum, α), (b.sum, β)]
    return record(y, inputs: [a, b]) { [unowned self] dy in
      for (sum, factor) in sums { add(dy, times: factor, to: sum) }
    }
  }

  /// `y = factor · x`.
  package func scaled(_ x: Variable, by factor: Float, for readers: Readers = .any) -> Variable {
    let (y, input) = (workspace.room(for: x.shape, readers: readers), x.stored)
    blocks(x.shape.count, of: [input, y]) { part, block in
      let (from, to) = (input.read(part, block(0)), y.room(part, block(1)))
      for i in 0..<part.count { to[i] = factor * from[i] }
      y.finish(part, block(1))
    }
    let sum = x.sum
    return record(y, x.shape, inputs: [x]) { [unowned self] dy in
      add(dy, times: factor, to: sum)
    }
  }

  /// Adds `factor · dy` to a gradient, where one is wanted.
  private func add(_ dy: Tensor, times factor: Float, to sum: GradientSum) {
    guard sum.isNeeded else { return }
    // Who adds to a shared gradient copies it first.
    if factor == 1 { return sum.add(dy, in: workspace) }
    let (target, accumulate) = sum.target(in: workspace)
    elementwise(dy.count) { range in
      if accumulate {
        for i in range {
          target.pointer[i] = target.pointer[i].addingProduct(factor, dy.pointer[i])
        }
      } else {
        for i in range { target.pointer[i] = factor * dy.pointer[i] }
      }
    }
  }

  /// `y = (a + b) / 2`, both of one shape.
  package func mean(_ a: Variable, _ b: Variable, for readers: Readers = .any) -> Variable {
    precondition(a.shape.count == b.shape.count, "mean of \(a.shape) and \(b.shape)")
    let y = workspace.room(for: a.shape, readers: readers)
    let (left, right) = (a.value, b.value)
    blocks(a.shape.count, of: [y]) { part, block in
      let (a, b) = (left.pointer + part.lowerBound, right.pointer + part.lowerBound)
      let to = y.room(part, block(0))
      for i in 0..<part.count { to[i] = 0.5 * a[i] + 0.5 * b[i] }
      y.finish(part, block(0))
    }
    let (da, db, shape) = (a.sum, b.sum, a.shape)
    return record(y, shape, inputs: [a, b]) { [unowned self] dy in
      let half = Tensor(shape, pool: pool)
      elementwise(half.count) { range in
        for i in range { half.pointer[i] = 0.5 * dy.pointer[i] }
      }
      // Both may share the gradient; who adds to it copies it first.
      da.add(half, in: workspace)
      db.add(half, in: workspace)
    }
  }

  /// Some columns of a matrix: `y[n, i] = x[n, range.lowerBound + i]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, range.count]`.
  package func columns(
    _ x: Variable, _ range: Range<Int>, for readers: Readers = .any
  ) -> Variable {
    let (rows, width) = (x.shape.rows, x.shape.columns)
    precondition(
      range.lowerBound >= 0 && range.upperBound <= width, "columns \(range) of \(x.shape)")
    let shape: Shape = [rows, range.count]
    let y = workspace.room(for: shape, readers: readers)
    let (input, count, first) = (x.stored, range.count, range.lowerBound)
    rowBlocks(rows, width: count, of: [y], on: .normsAndGates) { _, part, block in
      for row in part {
        let (source, target) = (row * width + first, row * count..<(row + 1) * count)
        input.copy(source..<source + count, into: y.room(target, block(0)))
        y.finish(target, block(0))
      }
    }
    let sum = x.sum
    return record(y, shape, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      workspace.compute(.normsAndGates) {
        if !accumulate { dx.clear() }
        workspace.team.parallel(rows, grain: max(1, Tape.grain / max(count, 1))) { part in
          for row in part {
            let (target, more) = (dx.pointer + row * width + first, dy.pointer + row * count)
            for i in 0..<count { target[i] += more[i] }
          }
        }
      }
    }
  }

  /// What a head's number becomes before it multiplies.
  package enum HeadFactor: Sendable {
    /// Itself.
    case number
    /// `−σ(s)`.
    case negativeSigmoid
    /// `σ(s)`.
    case sigmoid
    /// `1 − σ(s)`.
    case complementOfSigmoid

    @inline(__always)
    func value(_ s: Float) -> Float {
      switch self {
      case .number: s
      case .negativeSigmoid: -VectorMath.sigmoid(s)
      case .sigmoid: VectorMath.sigmoid(s)
      case .complementOfSigmoid: VectorMath.sigmoid(-s)
      }
    }

    @inline(__always)
    func slope(_ s: Float) -> Float {
      switch self {
      case .number: 1
      case .negativeSigmoid, .complementOfSigmoid:
        -VectorMath.sigmoid(s) * VectorMath.sigmoid(-s)
      case .sigmoid: VectorMath.sigmoid(s) * VectorMath.sigmoid(-s)
      }
    }
  }

  /// Each head times a number of its own, such as a skip around a recurrence: `y[n, h, :] = r + s[h] · x[n, h, :]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·V]`.
  ///   - scale: Shape `[H]`.
  ///   - factor: What of `scale` multiplies.
  ///   - residual: Shape `[N, H·V]`, or nil.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·V]`.
  package func headScale(
    _ x: Variable, _ scale: Parameter, factor: HeadFactor = .number,
    adding residual: Variable? = nil, for readers: Readers = .any
  ) -> Variable {
    let heads = parameters.table[scale].shape.count
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    precondition(columns % heads == 0, "\(heads) heads of x \(x.shape)")
    precondition(
      residual.map { $0.shape.count == x.shape.count } ?? true, "a skip beside \(x.shape)")
    let width = columns / heads
    let y = workspace.room(for: x.shape, readers: readers)
    let (input, other) = (x.stored, residual?.value)
    // Threads only read the scales.
    nonisolated(unsafe) let s = parameters.value(scale)
    let grain = max(1, Tape.grain / max(columns, 1))
    rowBlocks(rows, width: columns, of: [input, y], on: .normsAndGates) { _, part, block in
      for row in part {
        let all = row * columns..<(row + 1) * columns
        let (numbers, results) = (input.read(all, block(0)), y.room(all, block(1)))
        for head in 0..<heads {
          let at = row * columns + head * width
          let (from, to, f) = (
            numbers + head * width, results + head * width, factor.value(s[head])
          )
          if let other = other.map({ $0.pointer + at }) {
            for i in 0..<width { to[i] = other[i] + f * from[i] }
          } else {
            for i in 0..<width { to[i] = f * from[i] }
          }
        }
        y.finish(all, block(1))
      }
    }
    let inputs = [x] + (residual.map { [$0] } ?? [])
    let (sumOfX, sumOfResidual) = (x.sum, residual?.sum)
    return record(y, x.shape, inputs: inputs, always: trains(scale)) { [unowned self] dy in
      sumOfResidual?.add(dy, in: workspace)
      nonisolated(unsafe) let s = parameters.value(scale)
      let sums = RowSums(rows: rows, width: heads, workspace: workspace)
      let gradient = gradientSums(scale)
      let scratch = Tensor([workspace.team.size, columns], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        sums.add(to: [(gradient, heads)]) { thread, part, sums in
          for row in part {
            let numbers = input.read(
              row * columns..<(row + 1) * columns, scratch.pointer + thread * columns)
            for head in 0..<heads {
              let (a, b) = (numbers + head * width, dy.pointer + row * columns + head * width)
              sums[head] += Reduction.dot(a, b, width) * factor.slope(s[head])
            }
          }
        }
      }
      guard sumOfX.isNeeded else { return }
      let (dx, accumulate) = sumOfX.target(in: workspace)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) { part in
          for row in part {
            for head in 0..<heads {
              let at = row * columns + head * width
              let (from, to, f) = (dy.pointer + at, dx.pointer + at, factor.value(s[head]))
              if accumulate {
                for i in 0..<width { to[i] += f * from[i] }
              } else {
                for i in 0..<width { to[i] = f * from[i] }
              }
            }
          }
        }
      }
    }
  }
}
