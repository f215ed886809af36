import Kernels
import Measurement
import Tensors

/// Rows that go through one projection, where others go through another.
package struct RowGroup: Sendable {
  /// Shape `[output, input]`, the same of all groups.
  package let weight: Parameter
  /// Which rows.
  package let rows: Range<Int>
  /// Whose rows they are, where gradients of several sources are formed apart.
  package let source: Int

  package init(_ weight: Parameter, rows: Range<Int>, source: Int = 0) {
    (self.weight, self.rows, self.source) = (weight, rows, source)
  }
}

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
    try linear(
      x, [RowGroup(weight, rows: 0..<x.shape.rows)], bias: bias, residual: residual, for: readers)
  }

  /// A projection of each group of rows by its own weight.
  ///
  /// - Parameters:
  ///   - x: Shape `[…, input]`.
  ///   - groups: One after another, together all rows; one without rows takes no part.
  ///   - bias: Shape `[output]`, of all groups, or nil.
  ///   - residual: Shape `[…, output]`, added to the product, or nil.
  ///   - readers: Who reads the result; nothing is added to one that is stored for products.
  ///   - vary: Whether a group has other numbers of rows from pass to pass; as those of several do, where nil.
  /// - Returns: Shape `[…, output]`.
  /// - Throws: What a poll between batches of rows throws.
  package func linear(
    _ x: Variable, _ groups: [RowGroup], bias: Parameter? = nil, residual: Variable? = nil,
    for readers: Readers = .any, vary: Bool? = nil
  ) throws -> Variable {
    let vary = vary ?? (groups.count > 1)
    let (out, input) = (
      parameters.table[groups[0].weight].shape[0], parameters.table[groups[0].weight].shape[1]
    )
    let n = x.shape.rows
    precondition(x.shape.columns == input, "x \(x.shape) does not fit a weight [\(out), \(input)]")
    precondition(
      groups.reduce(0) { $1.rows.lowerBound == $0 ? $1.rows.upperBound : -1 } == n,
      "groups of rows \(groups.map(\.rows)) of \(n)")
    // Without any rows the op is still there, since gradients of none go on to ops that communicate.
    let filled = groups.filter { !$0.rows.isEmpty }
    let used = filled.isEmpty ? [groups[0]] : filled
    let products = workspace.products
    let forward = used.map {
      GroupProducts($0, self, for: .output, hasVaryingRows: vary)
    }
    let rank = forward.lazy.compactMap { $0.low?.rank }.first
    let rows = x.operand(in: workspace)
    let shape = Shape(x.shape.dimensions.dropLast() + [out])
    let isAdapted = groups.contains { parameters.table.adapters[$0.weight] != nil }
    let isAddedTo = residual != nil || bias != nil || isAdapted
    let y = workspace.room(for: shape, readers: isAddedTo ? .any : readers)
    let hidden = rank.map { HiddenRows(n, rank: $0, in: workspace) }
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
      for group in forward {
        try group.inBatches(workspace, operations: batched) { first, count in
          let (x, y) = (rows.from(first * input), y.from(first * out))
          products.output(x, group.matrix, into: y, count: count, beta: beta)
          if let low = group.low, let hidden {
            low.hidden(x, into: hidden, from: first, count: count)
            low.add(hidden, from: first, to: y, count: count)
          }
        }
      }
    }
    let inputs = [x] + (residual.map { [$0] } ?? [])
    let adapters = used.map { parameters.table.adapters[$0.weight] }
    func train(_ weights: [Parameter?]) -> Bool { weights.contains { trains($0) } }
    let (trainsWeights, trainsDown, trainsUp) = (
      train(used.map(\.weight)), train(adapters.map { $0?.down }), train(adapters.map { $0?.up })
    )
    // Where weights are frozen, nobody reads what went into them again: it is not kept.
    let kept = trainsWeights || trainsDown ? rows : nil
    let keptHidden = trainsUp ? hidden?.rows : nil
    let (sumOfX, sumOfResidual) = (x.sum, residual?.sum)
    // Sums of the gradient are made of it in fp32.
    let gradientReaders = residual == nil && !trains(bias) ? Readers.products : .any
    return record(
      y, shape, inputs: inputs, always: trainsWeights || trainsDown || trainsUp || trains(bias),
      gradientReaders: gradientReaders
    ) { [unowned self] dy in
      // Outside `compute`, which a rehearsal leaves out.
      let target = sumOfX.isNeeded ? sumOfX.target(in: workspace) : nil
      // The region has been acquired anew since the forward pass.
      let backward = used.map {
        GroupProducts(
          $0, self, for: .inputGradient, hasVaryingRows: vary,
          needsMatrix: sumOfX.isNeeded)
      }
      let sums = trains(bias) ? RowSums(rows: n, width: out, workspace: workspace) : nil
      let dHidden =
        target != nil || trainsDown
        ? rank.map { HiddenRows(n, rank: $0, in: workspace) } : nil
      let count = (target == nil ? 0.0 : 1) + (trainsWeights ? 1 : 0)
      workspace.counters.note(.projections, productOperations: count * operations)
      let dRows = dy.kind == .float ? workspace.operand(of: dy.tensor(shape)) : dy
      try workspace.compute(.projections) {
        for group in backward {
          if let (dx, accumulate) = target {
            try group.inBatches(workspace, operations: batched) { first, count in
              products.inputGradient(
                dRows.from(first * out), group.matrix, into: dx.pointer + first * input,
                count: count, beta: accumulate ? 1 : 0)
            }
          }
          if let low = group.low {
            let keptForDown = trains(low.downParameter) ? kept : nil
            let dHidden = target != nil || keptForDown != nil ? dHidden : nil
            try group.inBatches(workspace, operations: 4 * low.rank * (out + input)) {
              first, count in
              low.addGradients(
                dRows.from(first * out), x: keptForDown.map { $0.from(first * input) },
                h: trains(low.upParameter) ? keptHidden.map { $0.from(first * low.rank) } : nil,
                dh: dHidden, from: first,
                dx: target.map { $0.tensor.pointer + first * input }, count: count,
                source: group.source)
            }
          }
          if let kept, trains(group.weight) {
            try group.inBatches(workspace, operations: batched) { first, count in
              products.addWeightGradient(
                dRows.from(first * out), kept.from(first * input),
                to: parameters.gradient(group.weight, source: group.source), rows: out,
                columns: input, count: count)
            }
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

/// A group's weight and adapter as the products of one direction read them; made anew in each pass.
private struct GroupProducts {
  let weight: Parameter
  let rows: Range<Int>
  let source: Int
  /// Nil where no product of the direction is wanted.
  private let form: WeightMatrix?
  let low: AdaptedRows?
  private let hasVaryingRows: Bool

  var matrix: WeightMatrix {
    guard let form else { preconditionFailure("a product that was not wanted") }
    return form
  }

  /// May take memory for the forms of weights.
  ///
  /// - Parameter hasVaryingRows: Whether there are other numbers of rows from pass to pass.
  init(
    _ group: RowGroup, _ tape: Tape, for direction: ProductDirection, hasVaryingRows: Bool,
    needsMatrix: Bool = true
  ) {
    (weight, rows, source) = (group.weight, group.rows, group.source)
    self.hasVaryingRows = hasVaryingRows
    form = needsMatrix ? tape.weight(group.weight, for: direction) : nil
    low = AdaptedRows(of: group.weight, tape, for: [direction])
  }

  /// Rows of the largest part of a group among others.
  private static let mostRows = 256

  /// Works on the group's rows in batches.
  ///
  /// How many rows a group among others has is another number at each step, and a library may make code for each number that
  /// it meets: where rows vary, groups are cut into parts of a few sizes, powers of two.
  @inline(__always)
  func inBatches(
    _ workspace: Workspace, operations: Int, _ body: (_ first: Int, _ count: Int) throws -> Void
  ) throws {
    try workspace.inBatches(rows.count, operations: operations, atLeast: 64) { part in
      guard hasVaryingRows else { return try body(rows.lowerBound + part.lowerBound, part.count) }
      var first = part.lowerBound
      var size = Self.mostRows
      while first < part.upperBound {
        while first + size > part.upperBound { size /= 2 }
        try body(rows.lowerBound + first, size)
        first += size
      }
    }
  }
}
