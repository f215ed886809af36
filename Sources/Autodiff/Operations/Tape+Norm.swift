import Kernels
import Measurement
import Tensors

extension Tape {
  /// Root-mean-square normalisation over the last `width` numbers.
  ///
  /// - Parameters:
  ///   - x: Any shape whose count is a multiple of `width`.
  ///   - weight: Shape `[width]`, or nil for SimpleRMSNorm.
  ///   - offset: What is added to the weight: 1 where it is stored as what it differs from 1 by.
  ///   - width: How many numbers are normalised together; the last extent where nil.
  ///   - epsilon: Added to the mean square.
  ///   - readers: Who reads the result.
  package func rmsNorm(
    _ x: Variable, weight: Parameter? = nil, offset: Float = 0, width: Int? = nil, epsilon: Float,
    for readers: Readers = .any
  ) -> Variable {
    let columns = width ?? x.shape.columns
    let rows = columns == 0 ? 0 : x.shape.count / columns
    let y = workspace.room(for: x.shape, readers: readers)
    let inverse = Tensor([rows], pool: pool)
    let (numbers, kept) = (x.value, kept(x))
    let input = kept.numbers
    // All threads read the weights.
    nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
    rowBlocks(rows, width: columns, of: [y, input], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * columns..<rows.upperBound * columns
      // The kernel counts rows from the first of all.
      RMSNorm.forward(
        numbers.pointer, weight: w, offset: offset, epsilon: epsilon,
        into: y.room(part, block(0)) - part.lowerBound, inverse: inverse.pointer, rows: rows,
        columns: columns)
      y.finish(part, block(0))
      kept.keep(part, of: numbers.pointer)
    }
    let (sum, shape) = (x.sum, x.shape)
    return record(y, shape, inputs: [x], always: trains(weight)) { [unowned self] dy in
      // Memory is taken outside `compute`, which a rehearsal leaves out.
      let (dx, accumulate) =
        sum.isNeeded ? sum.target(in: workspace) : (Tensor(shape, pool: pool), false)
      guard let weight else {
        rowBlocks(rows, width: columns, of: [input], on: .normsAndGates) { _, rows, block in
          let part = rows.lowerBound * columns..<rows.upperBound * columns
          RMSNorm.backward(
            input.read(part, block(0)) - part.lowerBound, inverse: inverse.pointer, dy.pointer,
            into: dx.pointer, rows: rows, columns: columns, accumulate: accumulate)
        }
        return
      }
      let blocks = BlockScratch(width: columns, of: [input], in: workspace)
      let sums = RowSums(rows: rows, width: columns, workspace: workspace)
      let scratch = Tensor([workspace.team.size, columns], pool: pool, kind: .buffers)
      workspace.compute(.normsAndGates) {
        // All threads read the weights.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(gradientSums(weight), columns)]) { thread, rows, dw in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * columns..<rows.upperBound * columns
            RMSNorm.backward(
              input.read(part, block(0)) - part.lowerBound,
              weight: (w, dw, scratch.pointer + thread * columns), offset: offset,
              inverse: inverse.pointer, dy.pointer, into: dx.pointer, rows: rows,
              columns: columns, accumulate: accumulate)
          }
        }
      }
    }
  }

  /// Layer normalisation of the last `width` numbers, or of each head of a row.
  ///
  /// - Parameters:
  ///   - x: Shape `[…, C]`.
  ///   - weight: Shape `[C]`, or nil.
  ///   - bias: Shape `[C]`, or nil.
  ///   - width: How many numbers are normalised together, a divisor of `C`; all of them where nil.
  ///   - epsilon: Added to the variance.
  ///   - readers: Who reads the result.
  package func layerNorm(
    _ x: Variable, weight: Parameter? = nil, bias: Parameter? = nil, width: Int? = nil,
    epsilon: Float, for readers: Readers = .any
  ) -> Variable {
    let (rows, columns) = (x.shape.rows, x.shape.columns)
    for parameter in [weight, bias] {
      let count = parameter.map { parameters.table[$0].shape.count } ?? columns
      precondition(count == columns, "x \(x.shape) with a weight or bias of \(count)")
    }
    let norm = LayerNorm(columns: columns, width: width ?? columns, epsilon: epsilon)
    let y = workspace.room(for: x.shape, readers: readers)
    let statistics = Tensor([rows, 2 * norm.heads], pool: pool)
    // The mean may be larger than what is left without it, so it is taken off what is rounded.
    let (numbers, centered) = (x.value, centered(x))
    let input = centered ?? Operand(numbers)
    // All threads read the weights.
    nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
    nonisolated(unsafe) let b = bias.map { UnsafePointer(parameters.value($0)) }
    rowBlocks(rows, width: columns, of: [y, input], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * columns..<rows.upperBound * columns
      norm.forward(
        numbers.pointer, weight: w, bias: b, into: y.room(part, block(0)) - part.lowerBound,
        statistics: statistics.pointer, rows: rows)
      y.finish(part, block(0))
      guard let centered else { return }
      norm.center(
        numbers.pointer, into: block(1) - part.lowerBound, statistics: statistics.pointer,
        rows: rows)
      centered.finish(part, block(1))
    }
    let (sum, shape) = (x.sum, x.shape)
    return record(y, shape, inputs: [x], always: trains(weight, bias)) { [unowned self] dy in
      let (dx, accumulate) =
        sum.isNeeded ? sum.target(in: workspace) : (Tensor(shape, pool: pool), false)
      let (dWeight, dBias) = (weight.flatMap(gradientSums), bias.flatMap(gradientSums))
      let (hasWeight, hasBias) = (dWeight != nil, dBias != nil)
      let sums = RowSums(
        rows: rows, width: (hasWeight ? columns : 0) + (hasBias ? columns : 0),
        workspace: workspace)
      let scratch = Tensor([workspace.team.size, 2 * norm.width], pool: pool, kind: .buffers)
      let blocks = BlockScratch(width: columns, of: [input], in: workspace)
      // The region has been acquired anew since the forward pass.
      nonisolated(unsafe) let w = weight.map { UnsafePointer(parameters.value($0)) }
      workspace.compute(.normsAndGates) {
        sums.add(to: [(dWeight, hasWeight ? columns : 0), (dBias, hasBias ? columns : 0)]) {
          thread, rows, sums in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * columns..<rows.upperBound * columns
            norm.backward(
              input.read(part, block(0)) - part.lowerBound, weight: w,
              statistics: statistics.pointer, dy.pointer, into: dx.pointer,
              dWeight: hasWeight ? sums : nil,
              dBias: hasBias ? sums + (hasWeight ? columns : 0) : nil,
              scratch: scratch.pointer + thread * 2 * norm.width, rows: rows,
              accumulate: accumulate)
          }
        }
      }
    }
  }

  /// Room for what the twin of a layer norm reads in the place of its argument; nil where it reads that.
  private func centered(_ x: Variable) -> Operand? {
    guard isRecording, !x.isRemembered, workspace.products.operands == .bfloat16 else { return nil }
    return Operand(bfloat16: x.shape.count, pool: pool)
  }
}
