import Autodiff
import Kernels
import Measurement
import Tensors

extension Tape {
  /// A linear recurrence of each channel by itself over the whole sequence, of which this rank holds a shard.
  ///
  /// Concretely: `h_t = e^{g_t} ⊙ h_{t−1} + x_t`, where `h` before the shard comes from the rank before, in `ShardRun`'s order
  /// of events. All of a shard's results depend on that state, so nothing fills the wait for it.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, D]`, `N = rows × length`.
  ///   - logDecay: `g` ≤ 0, in nats, `[N, D]`.
  ///   - slot: The layer and state, for carries and messages: `D` numbers a row.
  ///   - pass: The shard's layout and seams.
  /// - Returns: `h`, `[N, D]`.
  package func elementwiseRecurrence(
    _ x: Variable, logDecay: Variable, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    precondition(
      x.shape.count == logDecay.shape.count, "\(x.shape) with log decays \(logDecay.shape)")
    let run = ElementwiseRun(g: logDecay.value, pass: pass)
    let shard = run.shard(slot)
    let h = Tensor(x.shape, pool: pool)
    try workspace.counters.measure(.recurrence) {
      try shard.forward(ElementwiseForward(run: run, x: x.value, h: h))
    }
    let (sumOfX, sumOfDecay) = (x.sum, logDecay.sum)
    return record(h, inputs: [x, logDecay], remembersOutput: true) { [unowned self] dh in
      let (dx, dg) = (Tensor(h.shape, pool: pool), Tensor(h.shape, pool: pool))
      try workspace.counters.measure(.recurrence) {
        let entered: EnteredState? = pass.memory[slot]
        try shard.backward(
          ElementwiseBackward(run: run, h: h, entered: entered?.state, dh: dh, dx: dx, dg: dg))
        sumOfX.add(dx, in: workspace)
        sumOfDecay.add(dg, in: workspace)
      }
    }
  }
}

/// An elementwise recurrence on one shard: where the numbers of its rows lie.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
private struct ElementwiseRun: @unchecked Sendable {
  let g: Tensor
  let pass: SequencePass
  let kernel: ElementwiseRecurrence
  /// Of each row.
  let rows: [ElementwiseRecurrence.Row]
  let groups: ChannelGroups

  /// Channels that one thread works on at least: some cache lines.
  private static let groupChannels = 64

  init(g: Tensor, pass: SequencePass) {
    (self.g, self.pass) = (g, pass)
    let (layout, channels) = (pass.layout, g.shape.columns)
    kernel = ElementwiseRecurrence(channels: channels)
    rows = (0..<layout.rows).map { row in
      let first = row * layout.length * channels
      return ElementwiseRecurrence.Row(
        g: g.pointer + first, tokens: layout.length,
        starts: layout.startsInShard(row: row))
    }
    // An exponential and a few operations a number.
    groups = ChannelGroups(
      workspace: pass.context.workspace,
      count: (channels + Self.groupChannels - 1) / Self.groupChannels,
      operations: layout.rows * layout.length * Self.groupChannels * 20)
  }

  /// How its states cross seams.
  func shard(_ slot: CarrySlot) -> ShardRun {
    ShardRun(
      slot: slot, pass: pass,
      map: StateMap(.vector, keyDimension: kernel.channels, valueDimension: 1),
      units: rows.count, knownMap: nil)
  }

  /// Works on some channels of every row at a time.
  func each(
    _ body: @Sendable (_ row: Int, _ channels: Range<Int>) -> Void
  ) throws {
    let channels = kernel.channels
    try groups.each { _, groups in
      let first = groups.lowerBound * Self.groupChannels
      let last = min(groups.upperBound * Self.groupChannels, channels)
      for row in rows.indices { body(row, first..<last) }
    }
  }

  /// A row's numbers of tokens, and its numbers of a state.
  func tokens(_ tensor: Tensor, _ row: Int) -> UnsafeMutablePointer<Float> {
    tensor.pointer + row * pass.layout.length * kernel.channels
  }

  func state(_ tensor: Tensor, _ row: Int) -> UnsafeMutablePointer<Float> {
    tensor.pointer + row * kernel.channels
  }

  func state(_ tensor: Tensor?, _ row: Int) -> UnsafePointer<Float>? {
    tensor.map { UnsafePointer($0.pointer + row * kernel.channels) }
  }
}

private struct ElementwiseForward: ShardWork, @unchecked Sendable {
  let run: ElementwiseRun
  let x, h: Tensor

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.each { row, channels in
      run.kernel.forward(
        run.rows[row], x: run.tokens(x, row), initial: run.state(entering, row),
        h: run.tokens(h, row), final: run.state(leaving, row), channels: channels)
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    try run.each { row, channels in
      run.kernel.summarize(
        run.rows[row], x: run.tokens(x, row), map: run.state(maps, row),
        state: run.state(sums, row), channels: channels)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.scratchState())
  }
}

private struct ElementwiseBackward: ShardWork, @unchecked Sendable {
  let run: ElementwiseRun
  let h: Tensor
  /// What entered the shard in the forward pass; nil for zero.
  let entered: Tensor?
  let dh, dx, dg: Tensor

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.each { row, channels in
      run.kernel.backward(
        run.rows[row], h: run.tokens(h, row), initial: run.state(entered, row),
        dh: run.tokens(dh, row), final: run.state(entering, row), dx: run.tokens(dx, row),
        dg: run.tokens(dg, row), dInitial: run.state(leaving, row), channels: channels)
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    try run.each { row, channels in
      run.kernel.summarizeBackward(
        run.rows[row], dh: run.tokens(dh, row), state: run.state(sums, row), channels: channels)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.scratchState())
  }
}

extension ElementwiseRun {
  /// Room for a state that has left already, and that the kernel walks along with.
  fileprivate func scratchState() -> Tensor {
    Tensor([rows.count, kernel.channels], pool: pass.context.workspace.pool, kind: .buffers)
  }
}
