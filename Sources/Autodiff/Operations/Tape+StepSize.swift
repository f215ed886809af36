import Kernels
import Measurement
import Tensors

extension Tape {
  /// Steps of heads: `s = clamp(softplus(a + b))`; no gradient goes back from where it was clamped.
  ///
  /// - Parameters:
  ///   - a: Shape `[N, H]`.
  ///   - bias: `b`, shape `[H]`.
  ///   - limits: The least and the greatest step.
  ///   - isOfChannels: Whether each channel has a step, so many that their arguments are kept rounded.
  /// - Returns: Shape `[N, H]`.
  package func stepSize(
    _ a: Variable, bias: Parameter, limits: ClosedRange<Float>, isOfChannels: Bool = false
  ) -> Variable {
    let step = StepSize(heads: a.shape.columns, limits: limits)
    return ofHeads(a, bias, keeping: isOfChannels ? kept(a) : nil) { a, bias, s, rows in
      step.forward(a, bias: bias, into: s, rows: rows)
    } backward: { a, bias, _, ds, da, db, rows, accumulate in
      step.backward(a, bias: bias, ds, into: da, dBias: db, rows: rows, accumulate: accumulate)
    }
  }

  /// Log decays of heads from their steps: `g = −e^A s`.
  ///
  /// - Parameters:
  ///   - s: Shape `[N, H]`.
  ///   - rate: `A`, shape `[H]`.
  /// - Returns: Shape `[N, H]`, in nats.
  package func decay(ofSteps s: Variable, rate: Parameter) -> Variable {
    let step = StepSize(heads: s.shape.columns, limits: 0...(.infinity))
    return ofHeads(s, rate) { s, rate, g, rows in
      step.decay(s, rate: rate, into: g, rows: rows)
    } backward: { _, rate, g, dg, ds, dRate, rows, accumulate in
      step.decayBackward(
        g, rate: rate, dg, into: ds, dRate: dRate, rows: rows, accumulate: accumulate)
    }
  }

  /// A function of a number a head and of a weight of each head.
  ///
  /// - Parameter kept: What the twin reads of x; its own numbers where nil.
  private func ofHeads(
    _ x: Variable, _ weight: Parameter, keeping kept: KeptNumbers? = nil,
    forward:
      @Sendable (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Range<Int>
      ) -> Void,
    backward:
      @escaping @Sendable (
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ y: UnsafePointer<Float>,
        _ dy: UnsafePointer<Float>, _ dx: UnsafeMutablePointer<Float>,
        _ sums: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ accumulate: Bool
      ) -> Void
  ) -> Variable {
    let (rows, heads) = (x.shape.rows, x.shape.columns)
    precondition(
      parameters.table[weight].shape.count == heads,
      "\(x.shape) with a weight of \(parameters.table[weight].shape)")
    let (y, numbers) = (Tensor(x.shape, pool: pool), x.value)
    let input = kept?.numbers ?? Operand(numbers)
    // All threads read the weight.
    nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
    rowBlocks(rows, width: heads, of: [input], on: .normsAndGates) { _, rows, _ in
      // The kernel counts rows from the first of all.
      forward(numbers.pointer, w, y.pointer, rows)
      kept?.keep(rows.lowerBound * heads..<rows.upperBound * heads, of: numbers.pointer)
    }
    let (sum, shape) = (x.sum, x.shape)
    return record(y, inputs: [x], always: trains(weight)) { [unowned self] dy in
      let (dx, accumulate) =
        sum.isNeeded ? sum.target(in: workspace) : (Tensor(shape, pool: pool), false)
      let blocks = BlockScratch(width: heads, of: [input], in: workspace)
      let sums = RowSums(rows: rows, width: heads, workspace: workspace)
      workspace.compute(.normsAndGates) {
        // All threads read the weight.
        nonisolated(unsafe) let w = UnsafePointer(parameters.value(weight))
        sums.add(to: [(gradientSums(weight), heads)]) { thread, rows, sums in
          BlockScratch.each(blocks, rows, thread: thread) { rows, block in
            let part = rows.lowerBound * heads..<rows.upperBound * heads
            backward(
              input.read(part, block(0)) - part.lowerBound, w, y.pointer, dy.pointer, dx.pointer,
              sums, rows, accumulate)
          }
        }
      }
    }
  }

  /// Each head's numbers times a number of its own: `y[n, h·V + i] = s[n, h] x[n, h·V + i]`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·V]`, or of fewer heads, each of which serves as many neighbouring heads as it takes.
  ///   - s: Shape `[N, H]`.
  ///   - width: `V`; nil where x has H heads.
  ///   - readers: Who reads the result.
  /// - Returns: Shape `[N, H·V]`.
  package func headProduct(
    _ x: Variable, _ s: Variable, width: Int? = nil, for readers: Readers = .any
  ) -> Variable {
    let (rows, heads) = (x.shape.rows, s.shape.columns)
    let width = width ?? x.shape.columns / heads
    let (own, columns) = (x.shape.columns / width, heads * width)
    precondition(
      s.shape.rows == rows && x.shape.columns == own * width && own > 0 && heads % own == 0,
      "x \(x.shape) times heads \(s.shape) of \(width)")
    let (share, shape) = (heads / own, [rows, columns] as Shape)
    let (y, input, factors) = (workspace.room(for: shape, readers: readers), x.stored, s.value)
    /// The numbers of x that some rows have; kernels count heads from the first of all.
    @Sendable func numbers(
      _ rows: Range<Int>, _ block: UnsafeMutablePointer<Float>
    ) -> UnsafePointer<Float> {
      let part = rows.lowerBound * own * width..<rows.upperBound * own * width
      return input.read(part, block) - part.lowerBound
    }
    rowBlocks(rows, width: columns, of: [input, y], on: .normsAndGates) { _, rows, block in
      let part = rows.lowerBound * columns..<rows.upperBound * columns
      HeadProduct.forward(
        numbers(rows, block(0)), factors.pointer, into: y.room(part, block(1)) - part.lowerBound,
        heads: rows.lowerBound * heads..<rows.upperBound * heads, share: share, width: width)
      y.finish(part, block(1))
    }
    return record(y, shape, inputs: [x, s]) { [unowned self] dy in
      let dx = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      let ds = s.needsGradient ? s.gradientTarget(in: workspace) : nil
      rowBlocks(rows, width: columns, of: [input], on: .normsAndGates) { _, rows, block in
        let part = rows.lowerBound * heads..<rows.upperBound * heads
        if let (dx, accumulate) = dx {
          HeadProduct.backward(
            factors.pointer, dy.pointer, into: dx.pointer, heads: part, share: share,
            width: width,
            accumulate: accumulate)
        }
        if let (ds, accumulate) = ds {
          HeadProduct.factorBackward(
            numbers(rows, block(0)), dy.pointer, into: ds.pointer, heads: part, share: share,
            width: width, accumulate: accumulate)
        }
      }
    }
  }
}
