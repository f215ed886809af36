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

/// Drives running sums and the exchange of what enters and leaves, for one slot of one pass.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
struct RunningSumRun: @unchecked Sendable {
  let kernel: RunningSum
  let restarts: Bool
  let slot: CarrySlot
  let pass: SequencePass

  private var workspace: Workspace { pass.context.workspace }
  private var pool: BufferPool { workspace.pool }
  private var layout: SequenceLayout { pass.layout }
  private var isAlone: Bool { layout.shardLengths.count == 1 }
  private var stateShape: Shape { [layout.rows, 1, kernel.channels] }

  /// Gives the sums of every token.
  func forward(_ x: Tensor) throws -> Tensor {
    let y = Tensor(x.shape, pool: pool)
    if let entered: EnteredState = pass.memory[slot] {
      sum(x, from: entered.state, into: y)
      return y
    }
    var incoming = pass.left.values[slot]
    if isAlone {
      let final = Tensor(stateShape, pool: pool, kind: .states)
      sum(x, from: incoming, into: y, final: final)
      if pass.keepsRight { pass.right.values[slot] = final }
    } else {
      let (transfer, problem) = try exchange(
        .forward, initial: incoming, wantsFinal: pass.keepsRight)
      sum(x, from: nil, final: problem.sums)
      try transfer.summaryReady()
      let crossed = try transfer.finish()
      if pass.holdsRight {
        pass.right.values[slot] = crossed.final ?? Tensor(stateShape, pool: pool)
      }
      incoming = crossed.incoming
      sum(x, from: incoming, into: y)
    }
    pass.memory[slot] = EnteredState(state: incoming)
    return y
  }

  /// Gives the gradient of every token's number, and passes on the sums'.
  func backward(_ dy: Tensor, into dx: Tensor, accumulate: Bool) throws {
    var incoming = pass.right.gradients[slot]
    if isAlone {
      let initial = Tensor(stateShape, pool: pool, kind: .states)
      sumBack(dy, from: incoming, into: dx, accumulate: accumulate, initial: initial)
      if pass.wantsLeftGradients { pass.left.gradients[slot] = initial }
      return
    }
    let (transfer, problem) = try exchange(
      .backward, initial: incoming, wantsFinal: pass.wantsLeftGradients)
    sumBack(dy, from: nil, initial: problem.sums)
    try transfer.summaryReady()
    let crossed = try transfer.finish()
    if pass.holdsLeftGradients {
      pass.left.gradients[slot] = crossed.final ?? Tensor(stateShape, pool: pool)
    }
    incoming = crossed.incoming
    sumBack(dy, from: incoming, into: dx, accumulate: accumulate)
  }

  private func exchange(
    _ direction: ExchangeDirection, initial: Tensor?, wantsFinal: Bool
  ) throws -> (transfer: any StateTransfer, problem: SeamProblem) {
    let maps = Tensor([layout.rows], pool: pool, kind: .states)
    workspace.compute(.recurrence) {
      for row in 0..<layout.rows { maps.pointer[row] = map(rank: layout.rank, row: row) }
    }
    let problem = SeamProblem(
      direction: direction, slot: slot, pass: pass,
      map: StateMap(
        .scalar, keyDimension: 1, valueDimension: kernel.channels, period: kernel.period),
      units: layout.rows, maps: maps, sums: Tensor(stateShape, pool: pool, kind: .states),
      knownMap: { self.map(rank: $0, row: $1) }, initial: initial, wantsFinal: wantsFinal)
    return (try pass.context.exchange.begin(problem), problem)
  }

  /// The identity, or nothing where a document starts in a rank's shard and sums begin anew.
  private func map(rank: Int, row: Int) -> Float {
    restarts && layout.hasStart(row: row, rank: rank) ? 0 : 1
  }

  private func starts(_ row: Int) -> [Int] { restarts ? layout.startsInShard(row: row) : [] }

  private func sum(
    _ x: Tensor, from initial: Tensor?, into y: Tensor? = nil, final: Tensor? = nil
  ) {
    each { row, range in
      let at = row * layout.length * kernel.channels
      kernel.forward(
        x.pointer + at, tokens: layout.length, starts: starts(row),
        initial: state(initial, row), into: y.map { $0.pointer + at },
        final: state(final, row), range: range)
    }
  }

  private func sumBack(
    _ dy: Tensor, from final: Tensor?, into dx: Tensor? = nil, accumulate: Bool = false,
    initial: Tensor? = nil
  ) {
    each { row, range in
      let at = row * layout.length * kernel.channels
      kernel.backward(
        dy.pointer + at, tokens: layout.length, starts: starts(row), final: state(final, row),
        into: dx.map { $0.pointer + at }, accumulate: accumulate, initial: state(initial, row),
        range: range)
    }
  }

  private func state(_ tensor: Tensor?, _ row: Int) -> UnsafeMutablePointer<Float>? {
    tensor.map { $0.pointer + row * kernel.channels }
  }

  /// Works on all rows, some channels a thread.
  private func each(_ body: @Sendable (_ row: Int, _ channels: Range<Int>) -> Void) {
    workspace.compute(.normsAndGates) {
      for row in 0..<layout.rows {
        workspace.team.parallel(
          kernel.channels, grain: max(16, (1 << 15) / max(layout.length, 1))
        ) {
          body(row, $0)
        }
      }
    }
  }
}
