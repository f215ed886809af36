import Autodiff
import Kernels
import Tensors

extension Tape {
  /// The softmax over all tokens so far of every channel, for a recurrence with vector decay: what is written, and the
  /// log decay of what was written before.
  ///
  /// Concretely: `z_t = log(e^{z_{t−1}} + e^{x_t})`, `k_t = e^{x_t−z_t}`, `g_t = z_{t−1} − z_t`. `z` crosses ranks ahead of
  /// the recurrence's state, K numbers a head: logarithms of sums of shards, which add up as sums do. The gradient of a
  /// shard's first `z` goes back by `e^{z_in−z_out}`, which is what the recurrence's state is multiplied by in the shard:
  /// its maps serve this state, too, and are not sent again.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·K]`, `N = rows × length`.
  ///   - slot: The layer and a state of its own, for carries and messages.
  ///   - decayed: The state that decays by `g`, of H heads with K channels, and by nothing else; it has to be used by
  ///     `recurrence` after this.
  /// - Returns: Both of shape `[N, H·K]`; `k` as products read it, `g` in nats.
  package func cumulativeSoftmax(
    _ x: Variable, keyDimension: Int, slot: CarrySlot, decaying decayed: CarrySlot,
    pass: SequencePass
  ) throws -> (k: Variable, g: Variable) {
    let forward = CumulativeSoftmaxForward(
      x.value, keyDimension: keyDimension, slot: slot, pass: pass)
    let run = forward.run
    try run.shard.forward(forward)
    // Where its maps are to be left, once they go back.
    pass.memory[decayed] = LentMaps()
    let gradients = PairOfGradients()
    let (writes, decays, sum) = (forward.k, forward.g, x.sum)
    let k = record(writes, x.shape, inputs: [x], remembersOutput: true) { [unowned self] dk in
      let (dx, accumulate) = sum.target(in: workspace)
      try run.shard(backBy: decayed).backward(
        CumulativeSoftmaxBackward(
          run: run, k: writes, g: decays, dk: dk, dg: gradients.dg, dx: dx,
          accumulate: accumulate))
    }
    // Recorded last, so differentiated first.
    let g = record(decays, inputs: [x], remembersOutput: true) { gradients.dg = $0 }
    return (k, g)
  }
}

/// The gradient that waits for the other.
private final class PairOfGradients {
  var dg: Tensor?
}

/// Cumulative softmaxes of one shard.
///
/// Unchecked: a team's threads read its constants; the pass and what it holds are the rank's own thread's alone.
struct CumulativeSoftmaxRun: @unchecked Sendable {
  let kernel: CumulativeSoftmax
  let keyDimension: Int
  let slot: CarrySlot
  let pass: SequencePass

  var layout: SequenceLayout { pass.layout }
  private var heads: Int { kernel.channels / keyDimension }

  /// How `z` crosses seams: whether a shard adds to it or begins anew, the layout tells.
  var shard: ShardRun {
    ShardRun(
      slot: slot, pass: pass,
      map: StateMap(.scalar, keyDimension: keyDimension, valueDimension: 1, isLogarithmic: true),
      units: layout.rows * heads, knownMap: { map(rank: $0, unit: $1) })
  }

  /// How its gradients cross, by the maps of another state.
  func shard(backBy lender: CarrySlot) -> ShardRun {
    ShardRun(
      slot: slot, pass: pass,
      map: StateMap(.vector, keyDimension: keyDimension, valueDimension: 1),
      units: layout.rows * heads, knownMap: nil, lender: lender)
  }

  /// A row's writes.
  func writes(_ k: Operand, _ row: Int) -> Operand { k.from(row * layout.length * kernel.channels) }

  private func map(rank: Int, unit: Int) -> Float {
    layout.hasStart(row: unit / heads, rank: rank) ? 0 : 1
  }
}

/// The forward pass: writes and decays.
struct CumulativeSoftmaxForward: ShardWork, @unchecked Sendable {
  let run: CumulativeSoftmaxRun
  private let x: Tensor
  let k: Operand
  let g: Tensor

  init(_ x: Tensor, keyDimension: Int, slot: CarrySlot, pass: SequencePass) {
    let workspace = pass.context.workspace
    run = CumulativeSoftmaxRun(
      kernel: CumulativeSoftmax(channels: x.shape.columns), keyDimension: keyDimension, slot: slot,
      pass: pass)
    self.x = x
    k = workspace.room(for: x.shape, readers: .products)
    g = Tensor(x.shape, pool: workspace.pool)
  }

  func known(_ entering: Tensor?, leaving: Tensor) {
    pass(entering, writes: true, leaving: leaving)
  }

  func summarize(maps: Tensor, sums: Tensor) {
    run.shard.fillKnown(maps)
    pass(nil, writes: false, leaving: sums)
  }

  func inter(_ entering: Tensor?, after chunks: Int) { pass(entering, writes: true, leaving: nil) }

  private func pass(_ entering: Tensor?, writes: Bool, leaving: Tensor?) {
    run.pass.eachRow(channels: run.kernel.channels) { row, channels in
      run.kernel.forward(
        run.pass.tokens(x, row)!, tokens: run.layout.length,
        starts: run.layout.startsInShard(row: row),
        initial: run.pass.state(entering, row), k: writes ? run.writes(k, row) : nil,
        g: writes ? run.pass.tokens(g, row) : nil, final: run.pass.state(leaving, row),
        range: channels)
    }
  }
}

/// The backward pass.
struct CumulativeSoftmaxBackward: ShardWork, @unchecked Sendable {
  let run: CumulativeSoftmaxRun
  let k: Operand
  let g, dk: Tensor
  let dg: Tensor?
  let dx: Tensor
  let accumulate: Bool

  func known(_ entering: Tensor?, leaving: Tensor) {
    pass(entering, writes: true, leaving: leaving)
  }

  func summarize(maps: Tensor, sums: Tensor) { pass(nil, writes: false, leaving: sums) }

  func inter(_ entering: Tensor?, after chunks: Int) { pass(entering, writes: true, leaving: nil) }

  private func pass(_ entering: Tensor?, writes: Bool, leaving: Tensor?) {
    run.pass.eachRow(channels: run.kernel.channels) { row, channels in
      run.kernel.backward(
        k: run.writes(k, row), g: run.pass.tokens(g, row)!, dk: run.pass.tokens(dk, row),
        dg: run.pass.tokens(dg, row),
        tokens: run.layout.length, final: run.pass.state(entering, row),
        into: writes ? run.pass.tokens(dx, row) : nil, accumulate: accumulate,
        initial: run.pass.state(leaving, row), range: channels)
    }
  }
}
