import Kernels
import Measurement
import Tensors

extension Tape {
  /// The same numbers in another shape of as many; takes no memory.
  package func reshaped(_ x: Variable, _ shape: Shape) -> Variable {
    precondition(shape.count == x.shape.count, "\(x.shape) as \(shape)")
    let (sum, before) = (x.sum, x.shape)
    return record(x.stored, shape, inputs: [x]) { [unowned self] dy in
      sum.add(Tensor(before, buffer: dy.buffer, offset: dy.offset), in: workspace)
    }
  }

  /// Hedgehog's features of each `width` numbers: `softmax([2x, −2x])`.
  ///
  /// - Parameter x: Shape `[N, C]`, `C` a multiple of `width`.
  /// - Returns: Shape `[N, 2·C]`.
  package func mirroredSoftmax(_ x: Variable, width: Int) -> Variable {
    features(x, width: width, count: 2 * width) { x, y, rows in
      MirroredSoftmax.forward(x, into: y, rows: rows, columns: width)
    } backward: { _, y, dy, dx, rows, accumulate in
      MirroredSoftmax.backward(y, dy, into: dx, rows: rows, columns: width, accumulate: accumulate)
    }
  }

  /// The softmax of each `width` numbers.
  ///
  /// - Parameter x: Shape `[N, C]`, `C` a multiple of `width`.
  /// - Returns: Shape `[N, C]`.
  package func softmax(_ x: Variable, width: Int) -> Variable {
    features(x, width: width, count: width) { x, y, rows in
      RowSoftmax.forward(x, into: y, rows: rows, columns: width)
    } backward: { _, y, dy, dx, rows, accumulate in
      RowSoftmax.backward(y, dy, into: dx, rows: rows, columns: width, accumulate: accumulate)
    }
  }

  /// The means of `count` neighbouring parts of each row, which overlap where they cannot be of one size.
  ///
  /// - Parameter x: Shape `[N, C]`.
  /// - Returns: Shape `[N, count]`; `x` itself where it has as many columns.
  package func pooled(_ x: Variable, to count: Int) -> Variable {
    let width = x.shape.columns
    guard width != count else { return x }
    return features(x, width: width, count: count) { x, y, rows in
      AdaptiveMeans.forward(x, into: y, rows: rows, columns: width, count: count)
    } backward: { _, _, dy, dx, rows, accumulate in
      AdaptiveMeans.backward(
        dy, into: dx, rows: rows, columns: width, count: count, accumulate: accumulate)
    }
  }

  /// DPFP's features of each `width` numbers: products of rectified neighbours.
  ///
  /// - Parameter x: Shape `[N, C]`, `C` a multiple of `width`.
  /// - Returns: Shape `[N, 8·C]`.
  package func dpfp(_ x: Variable, width: Int) -> Variable {
    features(x, width: width, count: DPFP.count(width)) { x, y, rows in
      DPFP.forward(x, into: y, rows: rows, columns: width)
    } backward: { x, _, dy, dx, rows, accumulate in
      DPFP.backward(x, dy, into: dx, rows: rows, columns: width, accumulate: accumulate)
    }
  }

  /// A function of each `width` numbers to `count` numbers, whose twin reads its argument and its result.
  private func features(
    _ x: Variable, width: Int, count: Int,
    forward:
      @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Range<Int>) -> Void,
    backward:
      @escaping @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
        UnsafeMutablePointer<Float>, Range<Int>, Bool
      ) -> Void
  ) -> Variable {
    precondition(width > 0 && x.shape.columns % width == 0, "x \(x.shape) in parts of \(width)")
    let rows = x.shape.count / width
    let y = Tensor([x.shape.rows, x.shape.columns / width * count], pool: pool)
    let grain = max(1, Tape.grain / count)
    let input = x.value
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(rows, grain: grain) { forward(input.pointer, y.pointer, $0) }
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      workspace.compute(.normsAndGates) {
        workspace.team.parallel(rows, grain: grain) {
          backward(input.pointer, y.pointer, dy.pointer, dx.pointer, $0, accumulate)
        }
      }
    }
  }

  /// Each `width` numbers times a weight and plus a bias that all have in common: `x ⊙ w + b`.
  ///
  /// - Parameters:
  ///   - weight: Its extent divides the columns of `x`; `bias` likewise.
  package func affine(_ x: Variable, weight: Parameter?, bias: Parameter?) -> Variable {
    guard let width = (weight ?? bias).map({ parameters.table[$0].shape.count }) else { return x }
    precondition(
      x.shape.columns % width == 0
        && [weight, bias].allSatisfy {
          $0.map { parameters.table[$0].shape.count == width } ?? true
        },
      "x \(x.shape) in parts of \(width)")
    let rows = x.shape.count / width
    let y = Tensor(x.shape, pool: pool)
    let input = x.value
    let grain = max(1, Tape.grain / width)
    workspace.compute(.normsAndGates) {
      // All threads read the weights.
      nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
      nonisolated(unsafe) let b = bias.map { UnsafePointer(parameters.value($0)) }
      workspace.team.parallel(rows, grain: grain) {
        Affine.forward(
          input.pointer, weight: w, bias: b, into: y.pointer, rows: $0, columns: width)
      }
    }
    return record(y, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let sums = RowSums(rows: rows, width: 2 * width, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
        let targets = [weight, bias].map { ($0.flatMap(gradientSums), width) }
        sums.add(to: targets) { _, rows, sums in
          Affine.backward(
            input.pointer, weight: w, dy.pointer, into: target?.tensor.pointer, dWeight: sums,
            dBias: sums + width, rows: rows, columns: width,
            accumulate: target?.accumulate ?? false)
        }
      }
    }
  }
}
