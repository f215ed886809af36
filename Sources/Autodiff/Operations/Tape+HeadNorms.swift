import Kernels
import Measurement
import Tensors

extension Tape {
  /// Each `width` numbers over their Euclidean length: `y = x · rsqrt(Σ x² + eps)`.
  package func l2Norm(
    _ x: Variable, width: Int, epsilon: Float = 1e-6, for readers: Readers = .any
  ) -> Variable {
    normalized(
      x, width: width, for: readers,
      { x, y, inverse, rows in
        L2Norm.forward(
          x, epsilon: epsilon, into: y, inverse: inverse, rows: rows, columns: width)
      }, L2Norm.backward)
  }

  /// Each `width` numbers over their sum and `epsilon`.
  package func sumNorm(
    _ x: Variable, width: Int, epsilon: Float = 0, for readers: Readers = .any
  ) -> Variable {
    normalized(
      x, width: width, for: readers,
      { x, y, inverse, rows in
        SumNorm.forward(
          x, epsilon: epsilon, into: y, inverse: inverse, rows: rows, columns: width)
      }, SumNorm.backward)
  }

  /// The exponentials of each `width` numbers over their root mean square: `y = e^x / √(mean e^{2x})`.
  package func normalizedExponential(
    _ x: Variable, width: Int, for readers: Readers = .any
  ) -> Variable {
    normalized(
      x, width: width, for: readers,
      { x, y, inverse, rows in
        NormalizedExponential.forward(x, into: y, inverse: inverse, rows: rows, columns: width)
      }, NormalizedExponential.backward)
  }

  /// A normalisation of rows whose twin reads the result and a number a row.
  private func normalized(
    _ x: Variable, width: Int, for readers: Readers,
    _ forward:
      @Sendable (
        UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Range<Int>
      ) -> Void,
    _ backward:
      @escaping @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
        UnsafeMutablePointer<Float>, Range<Int>, Int, Bool
      ) -> Void
  ) -> Variable {
    precondition(x.shape.columns % width == 0, "x \(x.shape) in rows of \(width)")
    let rows = x.shape.count / width
    let y = workspace.room(for: x.shape, readers: readers)
    let inverse = Tensor([rows], pool: pool)
    let input = x.stored
    rowBlocks(rows, width: width, of: [input, y], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * width..<rows.upperBound * width
      // The kernels count rows from the first of all.
      forward(
        input.read(part, block(0)) - part.lowerBound, y.room(part, block(1)) - part.lowerBound,
        inverse.pointer, rows)
      y.finish(part, block(1))
    }
    let sum = x.sum
    return record(y, x.shape, inputs: [x], remembersOutput: true) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      rowBlocks(rows, width: width, of: [y], on: .normsAndGates) { _, rows, block in
        let part = rows.lowerBound * width..<rows.upperBound * width
        backward(
          y.read(part, block(0)) - part.lowerBound, inverse.pointer, dy.pointer, dx.pointer, rows,
          width, accumulate)
      }
    }
  }

  /// Root-mean-square normalisation of each head with a gate: `y = rms(x) ⊙ w ⊙ act(gate)`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·V]`.
  ///   - gate: Likewise.
  ///   - weight: Shape `[V]`.
  ///   - readers: Who reads the result.
  package func gatedRMSNorm(
    _ x: Variable, gate: Variable, weight: Parameter, epsilon: Float,
    activation: Activation, for readers: Readers = .any
  ) -> Variable {
    let width = parameters.table[weight].shape.count
    precondition(
      x.shape.count == gate.shape.count && x.shape.columns % width == 0,
      "x \(x.shape) with a gate \(gate.shape) and a weight of \(width)")
    let norm = GatedRMSNorm(columns: width, epsilon: epsilon, activation: activation)
    let rows = x.shape.count / width
    let y = workspace.room(for: x.shape, readers: readers)
    let inverse = Tensor([rows], pool: pool)
    let (numbers, gates) = (x.value, gate.stored)
    let kept = kept(x)
    let input = kept.numbers
    // All threads read the weights.
    nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
    rowBlocks(rows, width: width, of: [gates, y, input], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * width..<rows.upperBound * width
      // The kernel counts rows from the first of all.
      norm.forward(
        numbers.pointer, gate: gates.read(part, block(0)) - part.lowerBound, weight: w,
        into: y.room(part, block(1)) - part.lowerBound, inverse: inverse.pointer, rows: rows)
      y.finish(part, block(1))
      kept.keep(part, of: numbers.pointer)
    }
    let (sumOfX, sumOfGate, shape) = (x.sum, gate.sum, x.shape)
    return record(y, shape, inputs: [x, gate], always: trains(weight)) { [unowned self] dy in
      let (dx, addsX) =
        sumOfX.isNeeded ? sumOfX.target(in: workspace) : (Tensor(shape, pool: pool), false)
      let (dGate, addsGate) =
        sumOfGate.isNeeded
        ? sumOfGate.room(in: workspace) : (Operand(Tensor(shape, pool: pool)), false)
      let sums = RowSums(rows: rows, width: width, workspace: workspace)
      let scratch = Tensor([workspace.team.size, width], pool: pool, kind: .buffers)
      let blocks = BlockScratch(width: width, of: [gates, dGate, input], in: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weights.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(gradientSums(weight), width)]) { thread, rows, dw in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * width..<rows.upperBound * width
            norm.backward(
              input.read(part, block(2)) - part.lowerBound,
              gate: gates.read(part, block(0)) - part.lowerBound, weight: w,
              inverse: inverse.pointer, dy.pointer, into: dx.pointer,
              dGate: dGate.room(part, block(1)) - part.lowerBound, dWeight: dw,
              scratch: scratch.pointer + thread * width, rows: rows, accumulate: (addsX, addsGate))
            dGate.finish(part, block(1))
          }
        }
      }
    }
  }
}
