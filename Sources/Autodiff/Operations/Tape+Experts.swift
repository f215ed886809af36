import Kernels
import Measurement
import Tensors

extension Tape {
  /// Tokens' rows in the order of their experts: a row for each choice that an expert takes.
  ///
  /// - Parameter x: Shape `[N, D]`.
  /// - Returns: Shape `[R, D]`, `R = N k` where experts take all.
  package func spread(
    _ x: Variable, _ routing: Routing, for readers: Readers = .any
  ) -> Variable {
    let (width, rows) = (x.shape.columns, routing.count)
    let y = workspace.room(for: [rows, width], readers: readers)
    let input = y.kind == .float ? Operand(x.value) : x.operand(in: workspace)
    copyRows(of: input, routing, 0..<rows, to: y, width: width)
    let sum = x.sum
    return record(y, [rows, width], inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = sum.target(in: workspace)
      sumRows(dy, routing, into: dx, adding: accumulate)
    }
  }

  /// The sum of each token's rows, which are in the order of their experts.
  ///
  /// - Parameters:
  ///   - y: Shape `[R, D]`.
  ///   - residual: Shape `[N, D]`, added to the sum, or nil.
  /// - Returns: Shape `[N, D]`.
  package func collect(
    _ y: Variable, _ routing: Routing, adding residual: Variable? = nil
  ) -> Variable {
    let width = y.shape.columns
    let output = Tensor([routing.tokens, width], pool: pool)
    sumRows(y.value, routing, into: output, adding: false, residual: residual?.value)
    let (shape, sumOfY, sumOfResidual) = (y.shape, y.sum, residual?.sum)
    return record(output, inputs: [y] + (residual.map { [$0] } ?? [])) { [unowned self] d in
      if sumOfY.isNeeded {
        let (room, accumulate) = sumOfY.room(in: workspace)
        let more = accumulate ? Operand(Tensor(shape, pool: pool)) : room
        let tokens = more.kind == .float ? Operand(d) : workspace.operand(of: d)
        copyRows(of: tokens, routing, 0..<shape.rows, to: more, width: width)
        if accumulate {
          elementwise(shape.count) { part in
            for i in part { room.floats[i] += more.floats[i] }
          }
        }
      }
      sumOfResidual?.add(d, in: workspace)
    }
  }

  /// `y = w silu(gate) ⊙ x`, with a weight for each row.
  ///
  /// - Parameters:
  ///   - gate: Shape `[R, C]`, as `x`.
  ///   - weights: A weight for each row: those of a routing for rows in the order of experts, else in their own order.
  ///   - routing: Nil for rows that are tokens.
  package func swiGLU(
    gate: Variable, _ x: Variable, weights: Variable, _ routing: Routing? = nil,
    for readers: Readers = .any
  ) -> Variable {
    let (rows, width) = (x.shape.rows, x.shape.columns)
    precondition(
      rows == routing?.count ?? weights.shape.count, "\(weights.shape) weights of rows \(x.shape)")
    let y = workspace.room(for: x.shape, readers: readers)
    let (gates, input, factors) = (gate.stored, x.stored, weights.value)
    let order = routing?.sources
    rowBlocks(rows, width: width, of: [gates, input, y], on: .normsAndGates) { _, part, block in
      for row in part {
        let numbers = row * width..<(row + 1) * width
        let (a, b) = (gates.read(numbers, block(0)), input.read(numbers, block(1)))
        let weight = factors.pointer[order.map { Int($0.pointer[row]) } ?? row]
        WeightedSwiGLU.forward(a, b, weight: weight, into: y.room(numbers, block(2)), count: width)
        y.finish(numbers, block(2))
      }
    }
    return record(y, x.shape, inputs: [gate, x, weights]) { [unowned self] dy in
      let (da, db) = (gate.newGradient(in: workspace), x.newGradient(in: workspace))
      let dWeights = Tensor(weights.shape, pool: pool)
      // Those of choices that no expert takes have no rows.
      if weights.shape.count > rows { workspace.compute(.normsAndGates) { dWeights.clear() } }
      rowBlocks(rows, width: width, of: [gates, input, da, db], on: .normsAndGates) {
        _, part, block in
        for row in part {
          let numbers = row * width..<(row + 1) * width
          let (a, b) = (gates.read(numbers, block(0)), input.read(numbers, block(1)))
          let place = order.map { Int($0.pointer[row]) } ?? row
          dWeights.pointer[place] = WeightedSwiGLU.backward(
            a, b, weight: factors.pointer[place], dy.pointer + numbers.lowerBound,
            da: da.room(numbers, block(2)), db: db.room(numbers, block(3)), count: width)
          da.finish(numbers, block(2))
          db.finish(numbers, block(3))
        }
      }
      gate.sum.add(da, in: workspace)
      x.sum.add(db, in: workspace)
      weights.add(gradient: dWeights, in: workspace)
    }
  }

  /// Copies the row of each choice's token, in the order of experts; both operands are of one kind.
  ///
  /// - Parameters:
  ///   - places: Which rows of all in that order; the first of them is written first.
  package func copyRows(
    of tokens: Operand, _ routing: Routing, _ places: Range<Int>, to rows: Operand, width: Int
  ) {
    let each = routing.rowsPerToken
    workspace.compute(.normsAndGates) {
      // Each thread writes rows of its own.
      nonisolated(unsafe) let sources = routing.sources.pointer + places.lowerBound
      workspace.team.parallel(places.count, grain: max(1, Tape.grain / max(width, 1))) { part in
        for row in part {
          let (from, to) = (Int(sources[row]) / each * width, row * width)
          switch rows.kind {
          case .float: (rows.floats + to).update(from: tokens.floats + from, count: width)
          case .bfloat16: (rows.halves + to).update(from: tokens.halves + from, count: width)
          }
        }
      }
    }
  }

  /// Sums the rows of each token's choices, in the order of experts.
  ///
  /// - Parameters:
  ///   - adding: Whether they are added to what is there, one after another.
  ///   - residual: Added to their sum, or nil.
  package func sumRows(
    _ rows: Tensor, _ routing: Routing, into target: Tensor, adding: Bool, residual: Tensor? = nil
  ) {
    let (width, each) = (target.shape.columns, routing.rowsPerToken)
    workspace.compute(.normsAndGates) {
      // Each thread writes rows of its own.
      nonisolated(unsafe) let places = routing.places.pointer
      nonisolated(unsafe) let residual = residual?.pointer
      workspace.team.parallel(routing.tokens, grain: max(1, Tape.grain / max(width, 1))) { part in
        for token in part {
          let y = target.pointer + token * width
          var adds = adding
          for j in 0..<each {
            let place = Int(places[token * each + j])
            // No expert takes it.
            guard place >= 0 else { continue }
            let x = rows.pointer + place * width
            if adds {
              for i in 0..<width { y[i] += x[i] }
            } else {
              y.update(from: x, count: width)
              adds = true
            }
          }
          if !adds { y.update(repeating: 0, count: width) }
          guard let residual else { continue }
          let more = residual + token * width
          for i in 0..<width { y[i] += more[i] }
        }
      }
    }
  }
}
