import Kernels
import Measurement
import Tensors

extension Tape {
  /// Log decays from a projection, elementwise: `g = max(log σ(x) / divisor, least)`.
  package func logSigmoidGate(_ x: Variable, divisor: Float, least: Float? = nil) -> Variable {
    let gate = LogSigmoidGate(divisor: divisor, least: least ?? -.infinity)
    return pointwise(x, gate.forward, gate.backward)
  }

  /// ReGLA's log decays from two projections of one shape: `log f`, `f = (1 − r) g² + r (1 − (1 − g)²)`.
  ///
  /// - Parameters:
  ///   - a: Of the gate, `g = σ(a)`.
  ///   - b: Of what refines it, `r = σ(b)`.
  package func refinedGate(_ a: Variable, refinedBy b: Variable) -> Variable {
    precondition(a.shape.count == b.shape.count, "gates \(a.shape) refined by \(b.shape)")
    let log = Tensor(a.shape, pool: pool)
    let (first, second) = (a.stored, b.stored)
    let (keptA, keptB) = (kept(a), kept(b))
    let (gates, refining) = (keptA.numbers, keptB.numbers)
    blocks(log.count, of: [first, second, gates, refining]) { part, block in
      let (a, b) = (first.read(part, block(0)), second.read(part, block(1)))
      RefinedGate.forward(a, b, into: log.pointer + part.lowerBound, count: part.count)
      keptA.keep(part, a)
      keptB.keep(part, b)
    }
    let (sumOfA, sumOfB) = (a.sum, b.sum)
    return record(log, inputs: [a, b]) { [unowned self] dlog in
      let (da, db) = (sumOfA.newGradient(in: workspace), sumOfB.newGradient(in: workspace))
      blocks(dlog.count, of: [gates, refining, da, db]) { part, block in
        RefinedGate.backward(
          gates.read(part, block(0)), refining.read(part, block(1)),
          dlog.pointer + part.lowerBound, da: da.room(part, block(2)),
          db: db.room(part, block(3)), count: part.count)
        da.finish(part, block(2))
        db.finish(part, block(3))
      }
      sumOfA.add(da, in: workspace)
      sumOfB.add(db, in: workspace)
    }
  }

  /// What decays take away, elementwise: `1 − e^g` of log decays.
  ///
  /// A recurrence that decays so keeps them.
  package func decayComplement(_ g: Variable, for readers: Readers = .any) -> Variable {
    pointwise(
      g, isKept: true, for: readers, DecayComplement.forward, DecayComplement.backward)
  }

  /// Log decays from a projection, elementwise: `g = max(−e^x, −80)`.
  package func exponentialGate(_ x: Variable) -> Variable {
    pointwise(x, ExponentialGate.forward, ExponentialGate.backward)
  }

  /// Log decays from steps, of heads or of their channels: `g = −e^A softplus(a + b)`.
  ///
  /// - Parameters:
  ///   - a: Shape `[N, H]` or `[N, H·W]`.
  ///   - rate: `A`, shape `[H]`.
  ///   - bias: `b`, as many as `a` has columns.
  /// - Returns: The shape of `a`, in nats.
  package func softplusGate(_ a: Variable, rate: Parameter, bias: Parameter) -> Variable {
    decayGate(a, rate: rate, bias: bias) { a, g, rates, biases, rows, heads, width in
      SoftplusGate.forward(
        a, rate: rates, bias: biases, into: g, rows: rows, heads: heads, width: width)
    } backward: { x in
      SoftplusGate.backward(
        x.a, rate: x.rates, bias: x.biases, x.g, x.dg, into: x.da, dRate: x.dRate, dBias: x.dBias,
        rows: x.rows, heads: x.heads, width: x.width, accumulate: x.accumulate)
    }
  }

  /// Log decays between a least one and 0: `g = least · σ(e^A (a + b))`; shapes as `softplusGate`'s.
  package func boundedGate(
    _ a: Variable, rate: Parameter, bias: Parameter, least: Float
  ) -> Variable {
    decayGate(a, rate: rate, bias: bias) { a, g, rates, biases, rows, heads, width in
      BoundedGate.forward(
        a, rate: rates, bias: biases, least: least, into: g, rows: rows, heads: heads, width: width)
    } backward: { x in
      BoundedGate.backward(
        x.a, rate: x.rates, bias: x.biases, x.g, x.dg, into: x.da, dRate: x.dRate, dBias: x.dBias,
        rows: x.rows, heads: x.heads, width: x.width, accumulate: x.accumulate)
    }
  }

  /// What the backward twin of a gate with rates and biases reads and writes.
  private struct DecayGateTwin {
    let a, rates, biases, g, dg: UnsafePointer<Float>
    let da, dRate, dBias: UnsafeMutablePointer<Float>
    let rows: Range<Int>
    let heads, width: Int
    let accumulate: Bool
  }

  /// A gate of `a` with a rate per head and a bias per column.
  private func decayGate(
    _ a: Variable, rate: Parameter, bias: Parameter,
    forward:
      @escaping @Sendable (
        _ a: UnsafePointer<Float>, _ g: UnsafeMutablePointer<Float>, _ rates: UnsafePointer<Float>,
        _ biases: UnsafePointer<Float>, _ rows: Range<Int>, _ heads: Int, _ width: Int
      ) -> Void,
    backward: @escaping @Sendable (DecayGateTwin) -> Void
  ) -> Variable {
    let (rows, columns) = (a.shape.rows, a.shape.columns)
    let heads = parameters.table[rate].shape.count
    precondition(
      heads > 0 && columns % heads == 0 && parameters.table[bias].shape.count == columns,
      "a \(a.shape) for the rates \(parameters.table[rate].shape) and biases "
        + "\(parameters.table[bias].shape)")
    let width = columns / heads
    let (g, numbers) = (Tensor(a.shape, pool: pool), a.value)
    // A decay of each channel, not of each head: so many that their arguments are kept rounded.
    let kept = width > 1 ? kept(a) : nil
    let input = kept?.numbers ?? Operand(numbers)
    // All threads read the weights.
    nonisolated(unsafe) let (rates, biases) = (
      UnsafePointer(parameters.value(rate)), UnsafePointer(parameters.value(bias))
    )
    rowBlocks(rows, width: columns, of: [input], on: .normsAndGates) { _, rows, _ in
      // The kernel counts rows from the first of all.
      forward(numbers.pointer, g.pointer, rates, biases, rows, heads, width)
      kept?.keep(rows.lowerBound * columns..<rows.upperBound * columns, of: numbers.pointer)
    }
    let (sumOfA, shape) = (a.sum, a.shape)
    return record(g, inputs: [a], always: trains(rate, bias), remembersOutput: true) {
      [unowned self] dg in
      let (da, accumulate) =
        sumOfA.isNeeded ? sumOfA.target(in: workspace) : (Tensor(shape, pool: pool), false)
      let sums = RowSums(rows: rows, width: heads + columns, workspace: workspace)
      let blocks = BlockScratch(width: columns, of: [input], in: workspace)
      workspace.compute(.normsAndGates) {
        let (dRate, dBias) = (gradientSums(rate), gradientSums(bias))
        // All threads read the weights.
        nonisolated(unsafe) let (rates, biases) = (
          UnsafePointer(parameters.value(rate)), UnsafePointer(parameters.value(bias))
        )
        sums.add(to: [(dRate, heads), (dBias, columns)]) { thread, rows, sums in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * columns..<rows.upperBound * columns
            backward(
              DecayGateTwin(
                a: input.read(part, block(0)) - part.lowerBound, rates: rates, biases: biases,
                g: g.pointer, dg: dg.pointer, da: da.pointer, dRate: sums, dBias: sums + heads,
                rows: rows, heads: heads, width: width, accumulate: accumulate))
          }
        }
      }
    }
  }
}
