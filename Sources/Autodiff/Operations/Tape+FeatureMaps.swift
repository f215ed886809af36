import Kernels
import Measurement
import Tensors

extension Tape {
  /// The same numbers in another shape of as many; takes no memory.
  package func reshaped(_ x: Variable, _ shape: Shape) -> Variable {
    precondition(shape.count == x.shape.count, "\(x.shape) as \(shape)")
    let (sum, before) = (x.sum, x.shape)
    return record(x.stored, shape, inputs: [x], remembersOutput: x.isRemembered) {
      [unowned self] dy in
      sum.add(Tensor(before, buffer: dy.buffer, offset: dy.offset), in: workspace)
    }
  }

  /// Hedgehog's features of each `width` numbers: `softmax([2x, −2x])`.
  ///
  /// - Parameter x: Shape `[N, C]`, `C` a multiple of `width`.
  /// - Returns: Shape `[N, 2·C]`.
  package func mirroredSoftmax(
    _ x: Variable, width: Int, for readers: Readers = .any
  ) -> Variable {
    features(x, width: width, count: 2 * width, for: readers, rereads: .result) { x, y, rows in
      MirroredSoftmax.forward(x, into: y, rows: rows, columns: width)
    } backward: { _, y, dy, dx, rows, accumulate in
      MirroredSoftmax.backward(y, dy, into: dx, rows: rows, columns: width, accumulate: accumulate)
    }
  }

  /// The softmax of each `width` numbers.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`, `C` a multiple of `width`.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, C]`.
  package func softmax(_ x: Variable, width: Int, for readers: Readers = .any) -> Variable {
    features(x, width: width, count: width, for: readers, rereads: .result) { x, y, rows in
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
    return features(x, width: width, count: count, rereads: .nothing) { x, y, rows in
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
    features(x, width: width, count: DPFP.count(width), rereads: .argument) { x, y, rows in
      DPFP.forward(x, into: y, rows: rows, columns: width)
    } backward: { x, _, dy, dx, rows, accumulate in
      DPFP.backward(x, dy, into: dx, rows: rows, columns: width, accumulate: accumulate)
    }
  }

  /// What the twin of a map reads again.
  private enum Reread {
    case argument, result, nothing
  }

  /// A function of each `width` numbers to `count` numbers, whose twin reads its argument or its result; what it does not
  /// read stands for the other.
  private func features(
    _ x: Variable, width: Int, count: Int, for readers: Readers = .any, rereads: Reread,
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
    let shape: Shape = [x.shape.rows, x.shape.columns / width * count]
    let (numbers, y) = (x.stored, workspace.room(for: shape, readers: readers))
    let kept = rereads == .argument ? kept(x) : nil
    let most = max(width, count)
    // The kernels count rows from the first of all.
    @Sendable func part(_ rows: Range<Int>, _ width: Int) -> Range<Int> {
      rows.lowerBound * width..<rows.upperBound * width
    }
    let stored = [numbers, y] + [kept?.numbers].compactMap { $0 }
    rowBlocks(rows, width: most, of: stored, on: .normsAndGates) { _, rows, block in
      let (own, results) = (part(rows, width), part(rows, count))
      let x = numbers.read(own, block(0))
      forward(x - own.lowerBound, y.room(results, block(1)) - results.lowerBound, rows)
      y.finish(results, block(1))
      kept?.keep(own, x)
    }
    let sum = x.sum
    let (argument, result) = (kept?.numbers, rereads == .result ? y : nil)
    return record(y, shape, inputs: [x], remembersOutput: rereads == .result) {
      [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      let reread = [argument, result].compactMap { $0 }
      rowBlocks(rows, width: most, of: reread, on: .normsAndGates) { _, rows, block in
        let (own, results) = (part(rows, width), part(rows, count))
        let x = argument.map { $0.read(own, block(0)) - own.lowerBound }
        let y = result.map { $0.read(results, block(0)) - results.lowerBound }
        let gradient = UnsafePointer(dy.pointer)
        backward(x ?? gradient, y ?? gradient, gradient, dx.pointer, rows, accumulate)
      }
    }
  }

  /// Each `width` numbers times a weight and plus a bias that all have in common: `x ⊙ w + b`.
  ///
  /// - Parameters:
  ///   - weight: Its extent divides the columns of `x`; `bias` likewise.
  ///   - readers: Who reads the result.
  package func affine(
    _ x: Variable, weight: Parameter?, bias: Parameter?, for readers: Readers = .any
  ) -> Variable {
    guard let width = (weight ?? bias).map({ parameters.table[$0].shape.count }) else { return x }
    precondition(
      x.shape.columns % width == 0
        && [weight, bias].allSatisfy {
          $0.map { parameters.table[$0].shape.count == width } ?? true
        },
      "x \(x.shape) in parts of \(width)")
    let rows = x.shape.count / width
    let y = workspace.room(for: x.shape, readers: readers)
    let (numbers, kept) = (x.stored, kept(x))
    let input = kept.numbers
    // All threads read the weights.
    nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
    nonisolated(unsafe) let b = bias.map { UnsafePointer(parameters.value($0)) }
    rowBlocks(rows, width: width, of: [numbers, y, input], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * width..<rows.upperBound * width
      let x = numbers.read(part, block(0))
      // The kernel counts rows from the first of all.
      Affine.forward(
        x - part.lowerBound, weight: w, bias: b, into: y.room(part, block(1)) - part.lowerBound,
        rows: rows, columns: width)
      y.finish(part, block(1))
      kept.keep(part, x)
    }
    let sum = x.sum
    return record(y, x.shape, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let target = sum.isNeeded ? sum.target(in: workspace) : nil
      let blocks = BlockScratch(width: width, of: [input], in: workspace)
      let sums = RowSums(rows: rows, width: 2 * width, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights, which have been acquired anew since the forward pass.
        nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
        let targets = [weight, bias].map { ($0.flatMap(gradientSums), width) }
        sums.add(to: targets) { thread, rows, sums in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * width..<rows.upperBound * width
            Affine.backward(
              input.read(part, block(0)) - part.lowerBound, weight: w, dy.pointer,
              into: target?.tensor.pointer, dWeight: sums, dBias: sums + width, rows: rows,
              columns: width, accumulate: target?.accumulate ?? false)
          }
        }
      }
    }
  }
}
