import Kernels
import Tensors

/// What a recurrence computes of one shard in one direction, in the pieces that the order of events asks for.
///
/// A shard is a map of the state that enters it to the one that leaves it: forward `S_out = M S_in + B`, backward
/// `D_in = Mᵀ D_out + E`.
protocol ShardWork {
  /// All of it, for an entering state that is there (nil for zero); writes the leaving one.
  func known(_ entering: Tensor?, leaving: Tensor) throws
  /// What of the leaving state needs no neighbour: `B` or `E`; forward also `M`, which the backward exchange reads again.
  func summarize(maps: Tensor, sums: Tensor) throws
  /// What of the results needs no neighbour, until the entering state is there.
  ///
  /// - Parameter transfer: To be advanced now and then.
  /// - Returns: Of how many chunks that has been computed.
  func intra(_ transfer: any StateTransfer) throws -> Int
  /// The rest, once the entering state is there; the results do not depend on `chunks`, what `intra` gave.
  func inter(_ entering: Tensor?, after chunks: Int) throws
}

extension ShardWork {
  /// Nothing: all results depend on the entering state.
  func intra(_ transfer: any StateTransfer) throws -> Int { 0 }
}

/// The order of events of a recurrence on one shard, for one state of one pass.
///
/// In each direction: the receive is posted first, the shard's own summary is computed before the wait, the leaving state
/// goes on its way as soon as the entering one is there, and the work that needs no neighbour fills the wait; what that has
/// not come to is computed in one go. Run
/// again (recomputation), it uses the state that entered and sends nothing.
///
/// - Source: LASP (arXiv 2404.02882).
struct ShardRun {
  let slot: CarrySlot
  let pass: SequencePass
  /// The algebra of a shard's map.
  let map: StateMap
  /// How many states there are: rows × heads.
  let units: Int
  /// The `M` of any rank and a unit, where it follows from the layout.
  let knownMap: ((_ rank: Int, _ unit: Int) -> Float)?
  /// A state of the layer whose `M`s serve this one, too, in the backward pass; nil for none.
  var lender: CarrySlot? = nil

  private var pool: BufferPool { pass.context.workspace.pool }
  private var isAlone: Bool { pass.layout.shardLengths.count == 1 }
  private var stateShape: Shape { map.shape(units) }

  /// Writes this shard's maps, where they follow from the layout.
  func fillKnown(_ maps: Tensor) {
    guard let knownMap else { preconditionFailure("the maps of \(slot) come from data") }
    pass.context.workspace.compute(.recurrence) {
      for unit in 0..<units { maps.pointer[unit] = knownMap(pass.layout.rank, unit) }
    }
  }

  /// Computes the outputs of the shard; `pass` remembers what entered it.
  func forward(_ work: some ShardWork) throws {
    if let entered: EnteredState = pass.memory[slot] {
      try work.known(entered.state, leaving: Tensor(stateShape, pool: pool, kind: .states))
    } else if isAlone {
      let final = Tensor(stateShape, pool: pool, kind: .states)
      try work.known(pass.left.values[slot], leaving: final)
      if pass.keepsRight { pass.right.values[slot] = final }
      pass.memory[slot] = EnteredState(state: pass.left.values[slot])
    } else {
      let (transfer, problem) = try exchange(
        .forward, initial: initial, wantsFinal: pass.keepsRight)
      try work.summarize(maps: problem.maps, sums: problem.sums)
      try transfer.summaryReady()
      let chunks = try work.intra(transfer)
      let (incoming, final) = try transfer.finish()
      if pass.holdsRight { pass.right.values[slot] = final ?? Tensor(stateShape, pool: pool) }
      pass.memory[slot] = EnteredState(state: incoming)
      try work.inter(incoming, after: chunks)
    }
  }

  /// What enters the sequence; where nothing does, nil, or zeros that are not the same as nothing.
  private var initial: Tensor? {
    if let value = pass.left.values[slot] { return value }
    guard map.kind == .stabilised, pass.layout.rank == 0 else { return nil }
    let zero = Tensor(stateShape, pool: pool, kind: .states)
    pass.context.workspace.compute(.recurrence) { zero.clear() }
    return zero
  }

  /// Computes the gradients of the shard's inputs, and passes on the state's.
  func backward(_ work: some ShardWork) throws {
    let final = pass.right.gradients[slot]
    if isAlone {
      let initial = Tensor(stateShape, pool: pool, kind: .states)
      try work.known(final, leaving: initial)
      if pass.wantsLeftGradients { pass.left.gradients[slot] = initial }
      return
    }
    let (transfer, problem) = try exchange(
      .backward, initial: final, wantsFinal: pass.wantsLeftGradients)
    try work.summarize(maps: problem.maps, sums: problem.sums)
    try transfer.summaryReady()
    let chunks = try work.intra(transfer)
    let (incoming, initial) = try transfer.finish()
    if pass.holdsLeftGradients {
      pass.left.gradients[slot] = initial ?? Tensor(stateShape, pool: pool)
    }
    try work.inter(incoming, after: chunks)
  }

  /// Posts the receives of one direction; the maps of the forward pass serve the backward one too, unless gradients go
  /// back by others.
  private func exchange(
    _ direction: ExchangeDirection, initial: Tensor?, wantsFinal: Bool
  ) throws -> (transfer: any StateTransfer, problem: SeamProblem) {
    let map = direction == .forward ? self.map : self.map.adjoint
    let mapCount = map.kind.count(map.keyDimension)
    func makeMaps() -> Tensor { Tensor([units, mapCount], pool: pool, kind: .states) }
    let maps =
      direction == .backward && map.kind != self.map.kind
      ? makeMaps() : pass.memory.of(lender ?? slot) { ShardMaps(maps: makeMaps()) }.maps
    let problem = SeamProblem(
      direction: direction, slot: slot, pass: pass, map: map, units: units, maps: maps,
      sums: Tensor(stateShape, pool: pool, kind: .states), knownMap: knownMap, initial: initial,
      wantsFinal: wantsFinal, lender: lender)
    return (try pass.context.exchange.begin(problem), problem)
  }
}
