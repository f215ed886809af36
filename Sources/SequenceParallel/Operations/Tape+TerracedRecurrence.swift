import Autodiff
import Kernels
import Tensors

extension Tape {
  /// Linear attention to the tokens that a terraced window has left behind: terraces enter the state as a whole.
  ///
  /// Concretely: `o_t = q_t Σ_j k_jᵀ v_j` over the tokens of t's document that stand before the terrace before t's. A
  /// terrace enters the state when the one after it ends, on the rank that holds its end; the order of events is
  /// `ShardRun`'s.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·K]`.
  ///   - k: Keys, `[rows × count, keyHeads·K]`, of `leavingTokens`; `v` likewise, `[rows × count, valueHeads·V]`.
  ///   - recent: The tokens that they are of.
  ///   - kernel: Sizes of a state.
  ///   - slot: The layer and state, for carries and messages.
  /// - Returns: `[N, heads·V]`.
  package func terracedRecurrence(
    _ kernel: TerracedRecurrence, q: Variable, k: Variable, v: Variable, recent: RecentTokens,
    width: Int, slot: CarrySlot
  ) throws -> Variable {
    let (workspace, inputs) = (workspace, [q, k, v].map { ($0.stored, $0.shape, $0.sum) })
    // Made anew for each pass: what it widens of the inputs is not kept between them.
    func makeRun() -> TerracedRun {
      let numbers = inputs.map { workspace.tensor(of: $0.0, $0.1) }
      return TerracedRun(
        kernel: kernel, q: numbers[0], k: numbers[1], v: numbers[2], recent: recent, width: width)
    }
    let run = makeRun()
    let y = Tensor([q.shape.rows, run.heads * kernel.valueDimension], pool: pool)
    let kept = Tensor([run.keptOffsets.last!], pool: pool, kind: .states)
    let shard = run.shard(slot)
    try workspace.counters.measure(.recurrence) {
      try shard.forward(TerracedForward(run: run, shard: shard, y: y, kept: kept))
    }
    return record(y, inputs: [q, k, v]) { [unowned self] dy in
      try workspace.counters.measure(.recurrence) {
        let run = makeRun()
        let gradients = inputs.map { Tensor($0.1, pool: pool) }
        workspace.compute(.recurrence) { for tensor in gradients { tensor.clear() } }
        try shard.backward(
          TerracedBackward(
            run: run, shard: shard, dy: dy, kept: kept, dq: gradients[0], dk: gradients[1],
            dv: gradients[2]))
        for (input, gradient) in zip(inputs, gradients) { input.2.add(gradient, in: workspace) }
      }
    }
  }
}

/// A terraced recurrence on one shard: where the numbers of its units lie.
///
/// Unchecked: a team's threads read its constants and write what belongs to their own units.
private struct TerracedRun: @unchecked Sendable {
  let kernel: TerracedRecurrence
  let q, k, v: Tensor
  let pass: SequencePass
  let heads, keyHeads, valueHeads: Int
  /// Of each row.
  let pieces: [[TerracedRecurrence.Piece]]
  /// Where each unit's states begin among those kept; last, where they end.
  let keptOffsets: [Int]
  /// Rows of keys and values of a row of the batch.
  let entries: Int

  init(
    kernel: TerracedRecurrence, q: Tensor, k: Tensor, v: Tensor, recent: RecentTokens, width: Int
  ) {
    (self.kernel, self.q, self.k, self.v, pass) = (kernel, q, k, v, recent.pass)
    let heads = q.shape.columns / kernel.keyDimension
    self.heads = heads
    (keyHeads, valueHeads) = (
      k.shape.columns / kernel.keyDimension, v.shape.columns / kernel.valueDimension
    )
    let layout = recent.pass.layout
    entries = max(0, recent.count - width)
    precondition(
      keyHeads > 0 && valueHeads > 0 && heads % keyHeads == 0 && heads % valueHeads == 0
        && k.shape.rows == layout.rows * entries && v.shape.rows == k.shape.rows,
      "terraces of q \(q.shape), k \(k.shape), v \(v.shape) over \(entries) entries a row")
    let pieces = (0..<layout.rows).map { Self.pieces(recent, row: $0, width: width) }
    self.pieces = pieces
    keptOffsets = pieces.flatMap { [Int](repeating: $0.count, count: heads) }
      .reduce(into: [0]) { $0.append($0.last! + $1 * kernel.stateCount) }
  }

  /// A row's tokens, cut where terraces or documents begin.
  private static func pieces(
    _ recent: RecentTokens, row: Int, width: Int
  ) -> [TerracedRecurrence.Piece] {
    let shard = recent.pass.layout.shard
    var cuts: [(token: Int, start: Int)] = []
    recent.forEachStart(row) { token, start in
      let position = shard.lowerBound + token
      if token == 0 || start == position || (position - start) % width == 0 {
        cuts.append((token, start))
      }
    }
    return cuts.indices.map { index in
      let (token, start) = cuts[index]
      let end = index + 1 < cuts.count ? cuts[index + 1].token : shard.count
      // In the document, counted from its start.
      let after = shard.lowerBound + end - start
      let isWhole = after % width == 0 && after >= 2 * width
      let first = start + after - 2 * width - recent.first
      return TerracedRecurrence.Piece(
        tokens: token..<end, startsDocument: start == shard.lowerBound + token,
        entering: isWhole ? first..<first + width : 0..<0)
    }
  }

  var units: Int { pieces.count * heads }

  /// How its states cross seams: by the identity, or by nothing where a document starts in a shard.
  func shard(_ slot: CarrySlot) -> ShardRun {
    let (layout, heads) = (pass.layout, heads)
    return ShardRun(
      slot: slot, pass: pass,
      map: StateMap(
        .scalar, keyDimension: kernel.keyDimension, valueDimension: kernel.valueDimension),
      units: units,
      knownMap: { rank, unit in layout.hasStart(row: unit / heads, rank: rank) ? 0 : 1 })
  }

  func head(_ unit: Int) -> TerracedRecurrence.Head {
    TerracedRecurrence.Head(
      q: rows(q, unit, heads, pass.layout.length), k: rows(k, unit, keyHeads, entries),
      v: rows(v, unit, valueHeads, entries), pieces: pieces[unit / heads])
  }

  func state(_ tensor: Tensor?, _ unit: Int) -> UnsafeMutablePointer<Float>? {
    tensor.map { $0.pointer + unit * kernel.stateCount }
  }

  private func rows(_ tensor: Tensor, _ unit: Int, _ own: Int, _ tokens: Int) -> TokenRows {
    let target = target(tensor, unit, own, tokens)
    return TokenRows(target.base, stride: target.stride)
  }

  /// Where one of `own` heads that serves a unit has its numbers, in rows of so many tokens.
  func target(_ tensor: Tensor, _ unit: Int, _ own: Int, _ tokens: Int) -> MutableTokenRows {
    let columns = tensor.shape.columns
    let head = unit % heads / (heads / own)
    return MutableTokenRows(
      tensor.pointer + unit / heads * tokens * columns + head * (columns / own), stride: columns)
  }

  /// Works on every unit over all threads, and lets messages move on after some of them.
  ///
  /// Units that share a gradient come one after another on one thread.
  func each(_ body: @Sendable (_ unit: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void) throws
  {
    let (workspace, groups) = (pass.context.workspace, min(keyHeads, valueHeads))
    let (members, count) = (heads / groups, (kernel.scratchCount + 15) / 16 * 16)
    let scratch = Tensor([count * workspace.team.size], pool: workspace.pool, kind: .buffers)
    let operations = members * pass.layout.length * 4 * kernel.stateCount
    try workspace.run {
      try workspace.inBatches(
        pieces.count * groups, operations: operations, atLeast: workspace.team.size
      ) { batch in
        workspace.team.parallel(batch.count) { thread, part in
          for group in part {
            let first = (batch.lowerBound + group) * members
            for unit in first..<first + members { body(unit, scratch.pointer + thread * count) }
          }
        }
      }
    }
  }

  /// Room for states that nobody wants.
  func scratchStates() -> Tensor {
    Tensor([units, kernel.stateCount], pool: pass.context.workspace.pool, kind: .buffers)
  }
}

private struct TerracedForward: ShardWork, @unchecked Sendable {
  let run: TerracedRun
  let shard: ShardRun
  let y, kept: Tensor

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    try run.each { unit, _ in
      run.kernel.forward(
        run.head(unit), initial: run.state(entering, unit).map { UnsafePointer($0) },
        kept: kept.pointer + run.keptOffsets[unit],
        o: run.target(y, unit, run.heads, run.pass.layout.length),
        state: run.state(leaving, unit)!)
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    shard.fillKnown(maps)
    try run.each { unit, _ in
      run.kernel.forward(
        run.head(unit), initial: nil, kept: nil, o: nil, state: run.state(sums, unit)!)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.scratchStates())
  }
}

private struct TerracedBackward: ShardWork, @unchecked Sendable {
  let run: TerracedRun
  let shard: ShardRun
  let dy, kept, dq, dk, dv: Tensor

  private func dO(_ unit: Int) -> TokenRows {
    let rows = run.target(dy, unit, run.heads, run.pass.layout.length)
    return TokenRows(rows.base, stride: rows.stride)
  }

  func known(_ entering: Tensor?, leaving: Tensor) throws {
    let length = run.pass.layout.length
    try run.each { unit, scratch in
      run.kernel.backward(
        run.head(unit), dO: dO(unit), final: run.state(entering, unit).map { UnsafePointer($0) },
        state: run.state(leaving, unit)!,
        gradients: TerracedRecurrence.Gradients(
          kept: kept.pointer + run.keptOffsets[unit],
          dq: run.target(dq, unit, run.heads, length),
          dk: run.target(dk, unit, run.keyHeads, run.entries),
          dv: run.target(dv, unit, run.valueHeads, run.entries)),
        scratch: scratch)
    }
  }

  func summarize(maps: Tensor, sums: Tensor) throws {
    shard.fillKnown(maps)
    try run.each { unit, scratch in
      run.kernel.backward(
        run.head(unit), dO: dO(unit), final: nil, state: run.state(sums, unit)!, gradients: nil,
        scratch: scratch)
    }
  }

  func inter(_ entering: Tensor?, after chunks: Int) throws {
    try known(entering, leaving: run.scratchStates())
  }
}
