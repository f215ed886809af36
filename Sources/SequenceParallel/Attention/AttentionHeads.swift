import Kernels
import Tensors

/// The heads of one attention layer on one shard: drives the kernel over blocks of keys.
///
/// Unchecked: it is constant; a team's threads write the sums of their own units, and the pass is the rank's own
/// thread's alone.
final class AttentionHeads: KeyReader, @unchecked Sendable {
  let kernel: SoftmaxAttention
  let pass: SequencePass
  let q, k, v: Tensor
  /// The log gates of forgetting attention, `[rows × length, heads]`; nil where nothing is forgotten.
  let logGates: Tensor?
  /// Their sums from the shard's first token on, `[rows, heads, length]` as Doubles.
  private let gateSums: Tensor?
  /// The queries' share of their gradients, alike, in a backward pass.
  private(set) var gateShares: Tensor?
  /// The most keys that a query sees, itself included; nil for all.
  let window: Int?
  /// Query heads, and the heads that share keys.
  let heads, keyHeads: Int
  /// Output, `[rows × length, heads · values]`; the log of each query's sum and scratch, `[rows, heads, length]`.
  let o, logSum: Tensor
  private let sum: Tensor
  /// The lowest position that each query sees, `[rows, length]`, as 32-bit integers.
  private let lowest: Tensor
  /// In each row, how many tokens before the sequence are there to be seen; `Int.max` while that does not matter.
  private var known: [Int]

  /// What is kept of a forward pass that shall not run again.
  struct Output: Kept {
    typealias Key = CarrySlot

    let o, logSum: Tensor
    fileprivate let lowest: Tensor
    fileprivate let known: [Int]

    var suspended: Output? { self }
    var tensors: [Tensor] { [o, logSum, lowest] }
  }

  /// Prepares a forward pass, or goes on from the output of an earlier one.
  init(
    _ kernel: SoftmaxAttention, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor? = nil,
    window: Int?, pass: SequencePass, output: Output?
  ) {
    (self.kernel, self.q, self.k, self.v, self.logGates) = (kernel, q, k, v, logGates)
    (self.window, self.pass) = (window, pass)
    let (d, values) = (kernel.dimension, kernel.valueDimension)
    (heads, keyHeads) = (q.shape.columns / d, k.shape.columns / d)
    precondition(
      k.shape.rows == v.shape.rows && heads * d == q.shape.columns
        && keyHeads * d == k.shape.columns && keyHeads * values == v.shape.columns
        && keyHeads > 0 && heads % keyHeads == 0,
      "attention of q \(q.shape), k \(k.shape) and v \(v.shape) in heads of \(d) and \(values)")
    let (pool, layout) = (pass.context.workspace.pool, pass.layout)
    o = output?.o ?? Tensor([q.shape.rows, heads * values], pool: pool)
    logSum = output?.logSum ?? Tensor([layout.rows, heads, layout.length], pool: pool)
    sum = Tensor(logSum.shape, pool: pool)
    lowest = output?.lowest ?? Tensor([layout.rows, layout.length], pool: pool)
    known = output?.known ?? [Int](repeating: .max, count: layout.rows)
    gateSums = logGates.map { Tensor([2, $0.shape.columns, $0.shape.rows], pool: pool) }
    precondition(
      logGates.map { $0.shape == [q.shape.rows, heads] } ?? true,
      "log gates \(logGates!.shape) of \(heads) heads for q \(q.shape)")
    if let gateSums { sumGates(gateSums, of: own) }
    if output == nil { see(before: known) }
  }

  /// What a backward pass needs.
  var output: Output { Output(o: o, logSum: logSum, lowest: lowest, known: known) }

  var workspace: Workspace { pass.context.workspace }
  var layout: SequenceLayout { pass.layout }
  private var length: Int { layout.length }
  private var dimension: Int { kernel.dimension }

  var parts: [Tensor] { [k, v] + (logGates.map { [$0] } ?? []) }

  /// The shard's own keys and values.
  var own: KeyBlock {
    KeyBlock(k: k, v: v, gates: logGates, first: layout.shard.lowerBound, tokens: length)
  }

  /// Sets what queries see: their document, their window, and in each row so many tokens before the shard.
  func see(before known: [Int]) {
    self.known = known
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        let target = lowestOf(row)
        forEachLowest(row) { token, lowest in target[token] = Int32(lowest) }
      }
    }
  }

  private func forEachLowest(_ row: Int, _ body: (_ token: Int, _ lowest: Int) -> Void) {
    layout.forEachLowest(row: row, known: known[row], window: window, body)
  }

  private func lowestOf(_ row: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(lowest.pointer + row * length).assumingMemoryBound(to: Int32.self)
  }

  // MARK: Forward

  /// Starts the sums.
  func begin() {
    each(layout.rows * heads) { unit, _ in
      self.kernel.begin(self.sums(unit), tokens: 0..<self.length)
    }
  }

  /// Adds a block to the sums; lets messages move on now and then.
  ///
  /// - Parameter after: The sums of the log gates between the block and the shard, for each row and head; the shard's
  ///   own block needs none.
  func absorb(_ block: KeyBlock, after: [Double]) throws {
    let sums = sums(block, after: after)
    try inBatches(block) { tiles in
      each(layout.rows * heads * tiles.count) { item, scratch in
        let (unit, tile) = (item / tiles.count, tiles.lowerBound + item % tiles.count)
        self.kernel.absorb(
          self.keys(block, unit, sums), self.queries(unit), into: self.sums(unit),
          tiles: tile..<tile + 1,
          scratch: scratch)
      }
    }
  }

  /// F of a block's keys; nil where nothing is forgotten.
  private func sums(_ block: KeyBlock, after: [Double]) -> Tensor? {
    guard gateSums != nil, block.first != layout.shard.lowerBound else { return gateSums }
    return keySums(block, after: after)
  }

  /// Divides the sums.
  func finish() {
    each(layout.rows * heads) { unit, _ in
      self.kernel.finish(self.sums(unit), tokens: 0..<self.length)
    }
  }

  // MARK: Backward

  /// Works out `Σ dO ⊙ O` of every query, `[rows, heads, length]`, in the room of the sums.
  func beginBackward(dO: Tensor, dq: Tensor) {
    gateShares = gateSums.map { Tensor($0.shape, pool: workspace.pool) }
    workspace.compute(.attention) {
      dq.clear()
      gateShares?.clear()
    }
    each(layout.rows * heads) { unit, _ in
      self.kernel.deltas(
        self.outputs(self.o, unit), self.outputs(dO, unit),
        into: self.sum.pointer + unit * self.length,
        tokens: 0..<self.length)
    }
  }

  /// Adds the gradients that a block gets and gives.
  ///
  /// - Parameters:
  ///   - after: As for `absorb`.
  ///   - target: The block's gradients, added to; in place of those of log gates, those of their sums.
  func backward(
    _ block: KeyBlock, after: [Double], into target: KeyBlock, dO: Tensor, dq: Tensor
  ) throws {
    let shared = heads / keyHeads
    let sums = sums(block, after: after)
    workspace.counters.attentionOperations +=
      AttentionSize.operationsPerPair / 2
      * Double(
        layout.pairs(with: block.positions, known: known, window: window) * heads
          * (dimension + kernel.valueDimension))
    try inBatches(block) { tiles in
      each(layout.rows * keyHeads) { group, scratch in
        for unit in group * shared..<(group + 1) * shared {
          let (row, column, valueColumn) = self.place(unit)
          let gradients = target.gradients(row: row, column: column, valueColumn: valueColumn)
          let at = unit * self.length
          self.kernel.backward(
            self.keys(block, unit, sums), self.queries(unit),
            SoftmaxAttention.Gradients(
              dO: self.outputs(dO, unit),
              dq: MutableTokenRows(self.inputs(dq, unit).mutable, stride: dq.shape.columns),
              logSum: self.logSum.pointer + at, delta: self.sum.pointer + at,
              dLogSums: self.gateShares.map { self.doubles($0, unit, self.length) },
              sumsToOne: true),
            dk: gradients.k, dv: gradients.v,
            dLogSums: target.gates(row: row, head: unit % self.heads), tiles: tiles,
            scratch: scratch)
        }
      }
    }
  }

  // MARK: Units

  /// A unit's row, and where its keys and its values begin in a token's.
  private func place(_ unit: Int) -> (row: Int, column: Int, valueColumn: Int) {
    let head = unit % heads / (heads / keyHeads)
    return (unit / heads, head * dimension, head * kernel.valueDimension)
  }

  private func keys(
    _ block: KeyBlock, _ unit: Int, _ sums: Tensor?
  ) -> SoftmaxAttention.Keys {
    let (row, column, valueColumn) = place(unit)
    return block.keys(
      row: row, column: column, valueColumn: valueColumn,
      logSums: sums.map { doubles($0, unit, block.tokens) })
  }

  /// A unit's queries, or their gradients.
  private func inputs(_ tensor: Tensor, _ unit: Int) -> TokenRows {
    rows(tensor, unit, width: dimension)
  }

  /// A unit's outputs, or their gradients.
  private func outputs(_ tensor: Tensor, _ unit: Int) -> TokenRows {
    rows(tensor, unit, width: kernel.valueDimension)
  }

  private func rows(_ tensor: Tensor, _ unit: Int, width: Int) -> TokenRows {
    let (row, head) = (unit / heads, unit % heads)
    return TokenRows(
      tensor.pointer + (row * length * heads + head) * width, stride: heads * width)
  }

  private func queries(_ unit: Int) -> SoftmaxAttention.Queries {
    SoftmaxAttention.Queries(
      inputs(q, unit), tokens: length, first: layout.shard.lowerBound,
      lowest: lowestOf(unit / heads), logSums: gateSums.map { doubles($0, unit, length) })
  }

  private func sums(_ unit: Int) -> SoftmaxAttention.Sums {
    SoftmaxAttention.Sums(
      o: MutableTokenRows(outputs(o, unit).mutable, stride: o.shape.columns),
      maximum: logSum.pointer + unit * length, sum: sum.pointer + unit * length)
  }

  /// Runs a body for every item over all threads, each with scratch of its own.
  private func each(
    _ count: Int, _ body: @Sendable (_ item: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) {
    let each = (kernel.scratchCount + 15) / 16 * 16
    let scratch = Tensor([each * workspace.team.size], pool: workspace.pool)
    workspace.compute(.attention) {
      workspace.team.parallel(count) { thread, items in
        for item in items { body(item, scratch.pointer + thread * each) }
      }
    }
  }

  /// Runs a body for the shard's tiles of queries in some batches, and polls between them.
  private func inBatches(_ block: KeyBlock, _ body: (Range<Int>) -> Void) throws {
    let tiles = SoftmaxAttention.tiles(length)
    guard block.tokens > 0 else { return }
    let keys = min(block.tokens, window.map { $0 + SoftmaxAttention.tile } ?? .max)
    let tile =
      layout.rows * heads * SoftmaxAttention.tile * keys * 2 * (dimension + kernel.valueDimension)
    let batch = min(max(1, (tiles + 7) / 8), workspace.itemsBetweenPolls(operations: tile))
    for start in Swift.stride(from: 0, to: tiles, by: batch) {
      body(start..<min(start + batch, tiles))
      try workspace.poll()
    }
  }
}

extension TokenRows {
  /// The same rows, to be written.
  fileprivate var mutable: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: base) }
}
