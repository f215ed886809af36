import Kernels
import Measurement
import Tensors

extension Tape {
  /// A projection: `y = x Wᵀ (+ bias) (+ residual)`, and where the weight has an adapter `+ s (x Aᵀ) Bᵀ`.
  ///
  /// - Parameters:
  ///   - x: Shape `[…, input]`.
  ///   - weight: Shape `[output, input]`.
  ///   - bias: Shape `[output]`, or nil.
  ///   - residual: Shape `[…, output]`, added to the product, or nil.
  ///   - readers: Who reads the result; nothing is added to one that is stored for products.
  /// - Returns: Shape `[…, output]`.
  /// - Throws: What a poll between batches of rows throws.
  package func linear(
    _ x: Variable, _ weight: Parameter, bias: Parameter? = nil, residual: Variable? = nil,
    for readers: Readers = .any
  ) throws -> Variable {
    let (out, input) = (parameters.table[weight].shape[0], parameters.table[weight].shape[1])
    let n = x.shape.rows
    precondition(x.shape.columns == input, "x \(x.shape) does not fit a weight [\(out), \(input)]")
    let products = workspace.products
    let matrix = self.weight(weight, for: .output)
    let adapter = parameters.table.adapters[weight]
    let low = AdaptedRows(of: weight, self, for: [.output])
    let rows = x.operand(in: workspace)
    let shape = Shape(x.shape.dimensions.dropLast() + [out])
    let isAddedTo = residual != nil || bias != nil || low != nil
    let y = workspace.room(for: shape, readers: isAddedTo ? .any : readers)
    let hidden = low.map { HiddenRows(n, rank: $0.rank, in: workspace) }
    let batched = workspace.operationsBetweenPolls(ofProducts: 2 * out * input)
    // Of each of its three products.
    let operations = 2 * Double(n) * Double(out) * Double(input)
    workspace.counters.note(.projections, productOperations: operations)
    try workspace.compute(.projections) {
      var beta: Float = 0
      if let residual {
        y.floats.update(from: residual.value.pointer, count: shape.count)
        beta = 1
      }
      if let bias {
        // All threads read the bias.
        nonisolated(unsafe) let b = UnsafePointer(parameters.value(bias))
        let adds = beta == 1
        workspace.team.parallel(n, grain: max(1, Tape.grain / max(out, 1))) { rows in
          for row in rows {
            let y = y.floats + row * out
            for i in 0..<out { y[i] = adds ? y[i] + b[i] : b[i] }
          }
        }
        beta = 1
      }
      try workspace.inBatches(n, operations: batched, atLeast: 64) { part in
        let (first, count) = (part.lowerBound, part.count)
        let (x, y) = (rows.from(first * input), y.from(first * out))
        products.output(x, matrix, into: y, count: count, beta: beta)
        if let low, let hidden {
          low.hidden(x, into: hidden, from: first, count: count)
          low.add(hidden, from: first, to: y, count: count)
        }
      }
    }
    let inputs = [x] + (residual.map { [$0] } ?? [])
    // Where weights are frozen, nobody reads what went into them again: it is not kept.
    let kept = trains(weight, adapter?.down) ? rows : nil
    let keptHidden = trains(adapter?.up) ? hidden?.rows : nil
    let (sumOfX, sumOfResidual) = (x.sum, residual?.sum)
    let trained = trains(weight, bias, adapter?.down, adapter?.up)
    // Sums of the gradient are made of it in fp32.
    let gradientReaders = residual == nil && !trains(bias) ? Readers.products : .any
    return record(
      y, shape, inputs: inputs, always: trained, gradientReaders: gradientReaders
    ) { [unowned self] dy in
      // Outside `compute`, which a rehearsal leaves out.
      let target = sumOfX.isNeeded ? sumOfX.target(in: workspace) : nil
      // The region has been acquired anew since the forward pass.
      let matrix = sumOfX.isNeeded ? self.weight(weight, for: .inputGradient) : nil
      let sums = trains(bias) ? RowSums(rows: n, width: out, workspace: workspace) : nil
      let low = AdaptedRows(of: weight, self, for: [.inputGradient])
      let keptForDown = trains(adapter?.down) ? kept : nil
      let dHidden =
        target != nil || keptForDown != nil
        ? low.map { HiddenRows(n, rank: $0.rank, in: workspace) } : nil
      let count = (target == nil ? 0.0 : 1) + (trains(weight) ? 1 : 0)
      workspace.counters.note(.projections, productOperations: count * operations)
      let dRows = dy.kind == .float ? workspace.operand(of: dy.tensor(shape)) : dy
      try workspace.compute(.projections) {
        if let (dx, accumulate) = target, let matrix {
          try workspace.inBatches(n, operations: batched, atLeast: 64) { rows in
            products.inputGradient(
              dRows.from(rows.lowerBound * out), matrix,
              into: dx.pointer + rows.lowerBound * input, count: rows.count,
              beta: accumulate ? 1 : 0)
          }
        }
        if let low {
          try workspace.inBatches(n, operations: 4 * low.rank * (out + input), atLeast: 64) {
            let (first, count) = ($0.lowerBound, $0.count)
            low.addGradients(
              dRows.from(first * out), x: keptForDown.map { $0.from(first * input) },
              h: keptHidden.map { $0.from(first * low.rank) }, dh: dHidden, from: first,
              dx: target.map { $0.tensor.pointer + first * input }, count: count)
          }
        }
        if let kept, trains(weight) {
          try workspace.inBatches(n, operations: batched, atLeast: 64) { rows in
            products.addWeightGradient(
              dRows.from(rows.lowerBound * out), kept.from(rows.lowerBound * input),
              to: parameters.gradient(weight), rows: out, columns: input, count: rows.count)
          }
        }
        if let bias, let sums {
          sums.add(to: [(parameters.gradient(bias), out)]) { _, rows, db in
            for row in rows {
              let dy = dy.floats + row * out
              for i in 0..<out { db[i] += dy[i] }
            }
          }
        }
      }
      sumOfResidual?.add(dy.tensor(shape), in: workspace)
    }
  }
}
