import Kernels
import Tensors

/// The heads of one layer on one shard whose weights of linear attention are compared with those of softmax attention: drives
/// the kernel over blocks of keys, beside which their features stand in the place of values.
///
/// Unchecked: it is constant but for its phase; a team's threads write the sums of their own units, and the pass is the rank's
/// own thread's alone.
final class CrossEntropyHeads: KeyReader, @unchecked Sendable {
  private let kernel: AttentionCrossEntropy
  private let pass: SequencePass
  private let q, queryFeatures, k, keyFeatures: Tensor
  private let dimension, features: Int
  /// The most keys that the teacher's queries see; nil for all.
  private let window: Int?
  private let heads, keyHeads, featureHeads: Int
  /// What is found of each query.
  private var found: Found
  /// Whether the sums over all keys are there, so that weights can be compared.
  private var isComparing = false

  /// The numbers of each query, each `[rows, heads, length]`, and the lowest position that it sees, by the teacher and by the
  /// student, `[rows, length]` as 32-bit integers.
  struct Found: Kept {
    typealias Key = CarrySlot

    let logSum, total, covered, loss, teacherLowest, studentLowest: Tensor
    /// In each row, how many tokens before the shard are there to be seen; `Int.max` while that does not matter.
    fileprivate(set) var known: [Int]

    var suspended: Found? { self }
    var tensors: [Tensor] { [logSum, total, covered, loss, teacherLowest, studentLowest] }
  }

  /// Prepares a forward pass, or goes on from what an earlier one found.
  init(
    q: Tensor, k: Tensor, queryFeatures: Tensor, keyFeatures: Tensor, dimension: Int,
    features: Int, window: Int?, pass: SequencePass, found earlier: Found?
  ) {
    kernel = AttentionCrossEntropy(
      dimension: dimension, scale: 1 / Float(dimension).squareRoot(), features: features)
    (self.q, self.k, self.queryFeatures, self.keyFeatures) = (q, k, queryFeatures, keyFeatures)
    (self.dimension, self.features, self.window, self.pass) = (dimension, features, window, pass)
    (heads, keyHeads, featureHeads) = (
      q.shape.columns / dimension, k.shape.columns / dimension,
      keyFeatures.shape.columns / features
    )
    precondition(
      keyHeads > 0 && featureHeads > 0 && heads % keyHeads == 0 && heads % featureHeads == 0
        && queryFeatures.shape.columns == heads * features,
      "q \(q.shape), k \(k.shape) with features \(queryFeatures.shape), \(keyFeatures.shape)")
    let (pool, layout) = (pass.context.workspace.pool, pass.layout)
    let each: Shape = [layout.rows, heads, layout.length]
    let lowest: Shape = [layout.rows, layout.length]
    found =
      earlier
      ?? Found(
        logSum: Tensor(each, pool: pool), total: Tensor(each, pool: pool),
        covered: Tensor(each, pool: pool), loss: Tensor(each, pool: pool),
        teacherLowest: Tensor(lowest, pool: pool), studentLowest: Tensor(lowest, pool: pool),
        known: [Int](repeating: .max, count: layout.rows))
    if earlier == nil { see(before: found.known) }
  }

  /// What a later run, or a backward pass, needs.
  var output: Found { found }

  var parts: [Tensor] { [k, keyFeatures] }
  var own: KeyBlock {
    KeyBlock(k: k, v: keyFeatures, gates: nil, first: layout.shard.lowerBound, tokens: length)
  }
  var noGates: [Double] { [] }

  func gateSums(of block: KeyBlock, and after: [Double]) -> [Double] { [] }

  private var workspace: Workspace { pass.context.workspace }
  private var layout: SequenceLayout { pass.layout }
  private var length: Int { layout.length }
  private var units: Int { layout.rows * heads }

  func see(before known: [Int]) {
    guard found.known != known || known.contains(.max) else { return }
    found.known = known
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        for (lowest, window) in [(found.teacherLowest, window), (found.studentLowest, nil)] {
          let target = Self.integers(lowest, row * length)
          layout.forEachLowest(row: row, known: known[row], window: window) {
            target[$0] = Int32($1)
          }
        }
      }
    }
  }

  private static func integers(_ tensor: Tensor, _ offset: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(tensor.pointer + offset).assumingMemoryBound(to: Int32.self)
  }

  // MARK: Forward

  /// Starts the sums.
  func begin() {
    isComparing = false
    each(units) { unit, _ in self.kernel.begin(self.sums(unit), tokens: 0..<self.length) }
  }

  /// Ends the sums, when all blocks have been absorbed; from now on they are compared.
  func finishSums() {
    each(units) { unit, _ in self.kernel.finish(self.sums(unit), tokens: 0..<self.length) }
    isComparing = true
  }

  func absorb(_ block: KeyBlock, after: [Double]) throws {
    try inBatches(block) { tiles in
      each(units * tiles.count) { item, scratch in
        let (unit, tile) = (item / tiles.count, tiles.lowerBound + item % tiles.count)
        let (inputs, sums, tiles) = (self.inputs(unit, block), self.sums(unit), tile..<tile + 1)
        if self.isComparing {
          self.kernel.compare(inputs, into: sums, tiles: tiles, scratch: scratch)
        } else {
          self.kernel.absorb(inputs, into: sums, tiles: tiles, scratch: scratch)
        }
      }
    }
  }

  /// Each position's loss, summed over heads, `[rows × length, 1]`.
  func losses() -> Tensor {
    let losses = Tensor([layout.rows * length, 1], pool: workspace.pool)
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        for token in 0..<length {
          var sum: Float = 0
          for head in 0..<heads {
            sum += found.loss.pointer[(row * heads + head) * length + token]
          }
          losses.pointer[row * length + token] = sum
        }
      }
    }
    return losses
  }

  // MARK: Backward

  /// Adds to the gradients of features; keys and queries themselves get none.
  ///
  /// - Parameters:
  ///   - dO: Of the losses, `[rows × length, 1]`; `dq` of the features of queries.
  func backward(
    _ block: KeyBlock, after: [Double], into target: KeyBlock, dO: Tensor, dq: Tensor
  ) throws {
    let shared = heads / featureHeads
    workspace.counters.attentionOperations +=
      AttentionSize.comparison(dimension: dimension, features: features)
      * Double(heads * layout.pairs(with: block.positions, known: found.known, window: nil))
    try inBatches(block) { tiles in
      each(layout.rows * featureHeads) { group, scratch in
        for unit in group * shared..<(group + 1) * shared {
          let (row, head) = (unit / self.heads, unit % self.heads)
          let width = self.heads * self.features
          self.kernel.backward(
            self.inputs(unit, block), self.sums(unit), dLoss: dO.pointer + row * self.length,
            dq: MutableTokenRows(
              dq.pointer + row * self.length * width + head * self.features, stride: width),
            dk: target.gradients(row: row, column: 0, valueColumn: head / shared * self.features).v,
            tiles: tiles, scratch: scratch)
        }
      }
    }
  }

  // MARK: Units

  private func sums(_ unit: Int) -> AttentionCrossEntropy.Sums {
    let at = unit * length
    return AttentionCrossEntropy.Sums(
      logSum: found.logSum.pointer + at, total: found.total.pointer + at,
      covered: found.covered.pointer + at, loss: found.loss.pointer + at)
  }

  private func inputs(_ unit: Int, _ block: KeyBlock) -> AttentionCrossEntropy.Inputs {
    let (row, head) = (unit / heads, unit % heads)
    func queries(_ tensor: Tensor, _ own: Int, _ lowest: Tensor) -> SoftmaxAttention.Queries {
      let columns = tensor.shape.columns
      return SoftmaxAttention.Queries(
        TokenRows(tensor.pointer + row * length * columns + head * own, stride: columns),
        tokens: length, first: layout.shard.lowerBound,
        lowest: Self.integers(lowest, row * length))
    }
    return AttentionCrossEntropy.Inputs(
      teacher: queries(q, dimension, found.teacherLowest),
      student: queries(queryFeatures, features, found.studentLowest),
      keys: block.keys(
        row: row, column: head / (heads / keyHeads) * dimension,
        valueColumn: head / (heads / featureHeads) * features))
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
    guard block.tokens > 0 else { return }
    let tiles = SoftmaxAttention.tiles(length)
    let tile = units * SoftmaxAttention.tile * block.tokens * 4 * (dimension + features)
    let batch = min(max(1, (tiles + 7) / 8), workspace.itemsBetweenPolls(operations: tile))
    for start in stride(from: 0, to: tiles, by: batch) {
      body(start..<min(start + batch, tiles))
      try workspace.poll()
    }
  }
}
