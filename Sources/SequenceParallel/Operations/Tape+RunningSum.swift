import Autodiff
import Kernels
import Tensors

extension Tape {
  /// The inclusive sum of every channel along the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `y_t = y_{t−1} + x_t`, summed in Double, where `y` before the shard comes from the rank before by the
  /// context's exchange: as a state of C numbers a row whose map is the identity. Gradients are sums over all
  /// later tokens, and come back likewise. Run again (recomputation), it sends nothing.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, C]`, `N = rows × length`.
  ///   - period: What sums are counted modulo, such as 2π for angles; nil for plain sums.
  ///   - restarts: Whether sums begin anew where documents start.
  ///   - slot: The layer and a state of its own, for carries and messages.
  /// - Returns: Shape `[N, C]`.
  package func runningSum(
    _ x: Variable, period: Double? = nil, restarts: Bool = true, slot: CarrySlot,
    pass: SequencePass
  ) throws -> Variable {
    let run = RunningSumRun(
      kernel: RunningSum(channels: x.shape.columns, period: period), restarts: restarts,
      slot: slot, pass: pass)
    let y = try run.forward(x.value)
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      try run.backward(dy, into: dx, accumulate: accumulate)
    }
  }
}

/// Running sums of one shard.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
struct RunningSumRun: @unchecked Sendable {
  let kernel: RunningSum
  let restarts: Bool
  let slot: CarrySlot
  let pass: SequencePass

  /// How sums cross seams: by the identity, or by nothing where they begin anew in a shard; the layout tells.
  var shard: ShardRun {
    ShardRun(
      slot: slot, pass: pass,
      map: StateMap(
        .scalar, keyDimension: 1, valueDimension: kernel.channels, period: kernel.period),
      units: pass.layout.rows,
      knownMap: { restarts && pass.layout.hasStart(row: $1, rank: $0) ? 0 : 1 })
  }

  /// Gives the sums of every token.
  func forward(_ x: Tensor) throws -> Tensor {
    let y = Tensor(x.shape, pool: pass.context.workspace.pool)
    try shard.forward(RunningSumForward(run: self, x: x, y: y))
    return y
  }

  /// Gives the gradient of every token's number, and passes on the sums'; the forward pass need not have been.
  func backward(_ dy: Tensor, into dx: Tensor, accumulate: Bool) throws {
    try shard.backward(RunningSumBackward(run: self, dy: dy, dx: dx, accumulate: accumulate))
  }

  /// Where sums begin anew in a row's shard.
  func starts(_ row: Int) -> [Int] { restarts ? pass.layout.startsInShard(row: row) : [] }
}

/// The forward pass: the sums of every token.
struct RunningSumForward: ShardWork, @unchecked Sendable {
  let run: RunningSumRun
  let x, y: Tensor

  func known(_ entering: Tensor?, leaving: Tensor) { sum(entering, into: y, leaving: leaving) }

  func summarize(maps: Tensor, sums: Tensor) {
    run.shard.fillKnown(maps)
    sum(nil, into: nil, leaving: sums)
  }

  func inter(_ entering: Tensor?, after chunks: Int) { sum(entering, into: y, leaving: nil) }

  private func sum(_ entering: Tensor?, into y: Tensor?, leaving: Tensor?) {
    run.pass.eachRow(channels: run.kernel.channels) { row, range in
      let pass = run.pass
      run.kernel.forward(
        pass.tokens(x, row)!, tokens: pass.layout.length, starts: run.starts(row),
        initial: pass.state(entering, row), into: pass.tokens(y, row),
        final: pass.state(leaving, row), range: range)
    }
  }
}

/// The backward pass: sums over all later tokens.
struct RunningSumBackward: ShardWork, @unchecked Sendable {
  let run: RunningSumRun
  let dy, dx: Tensor
  let accumulate: Bool

  func known(_ entering: Tensor?, leaving: Tensor) { sum(entering, into: dx, leaving: leaving) }

  func summarize(maps: Tensor, sums: Tensor) {
    run.shard.fillKnown(maps)
    sum(nil, into: nil, leaving: sums)
  }

  func inter(_ entering: Tensor?, after chunks: Int) { sum(entering, into: dx, leaving: nil) }

  private func sum(_ entering: Tensor?, into dx: Tensor?, leaving: Tensor?) {
    run.pass.eachRow(channels: run.kernel.channels) { row, range in
      let pass = run.pass
      run.kernel.backward(
        pass.tokens(dy, row)!, tokens: pass.layout.length, starts: run.starts(row),
        final: pass.state(entering, row), into: pass.tokens(dx, row), accumulate: accumulate,
        initial: pass.state(leaving, row), range: range)
    }
  }
}
