import Kernels
import Tensors

/// The heads of windowed attention on one shard, all of whose keys are there: drives the kernel.
///
/// Made anew for each pass: what it widens of queries and keys is not kept between them.
///
/// Unchecked: it is constant; a team's threads write what belongs to their own units.
struct WindowRun: @unchecked Sendable {
  let kernel: SoftmaxAttention
  let recent: RecentTokens
  let q, all: Tensor
  let span: AttentionSpan
  /// Keys and values beside those of tokens, which all queries see: `[m, heads, d]`.
  let extra: (k: Tensor, v: Tensor)?
  /// Query heads, and the heads that share keys.
  let heads, keyHeads: Int
  /// Floats from one token of a head's output to the next, and from one head to the next.
  let outputStride, headStride: Int
  /// The lowest position that each query sees, and one that lets it see the extra keys: `[rows, length]`, 32-bit integers.
  private let lowest, none: Tensor

  init(
    _ kernel: SoftmaxAttention, q stored: Operand, shape: Shape, recent: RecentTokens,
    span: AttentionSpan, extra: (k: Tensor, v: Tensor)? = nil, headStride: Int
  ) {
    (self.kernel, self.recent, self.span, self.extra) = (kernel, recent, span, extra)
    let workspace = recent.pass.context.workspace
    q = workspace.tensor(of: stored, shape)
    all = workspace.tensor(of: recent.tokens.stored, recent.tokens.shape)
    let d = kernel.dimension
    (heads, keyHeads) = (q.shape.columns / d, recent.columns / d)
    precondition(
      heads * d == q.shape.columns && keyHeads * d == recent.columns && keyHeads > 0
        && heads % keyHeads == 0,
      "windowed attention of q \(q.shape) and \(recent.columns) numbers of keys in heads of \(d)")
    (self.headStride, outputStride) = (headStride, heads * headStride)
    let (layout, pool) = (recent.pass.layout, recent.pass.context.workspace.pool)
    lowest = Tensor([layout.rows, layout.length], pool: pool)
    none = Tensor([extra == nil ? 0 : layout.length], pool: pool)
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        let target = integers(lowest, row * layout.length)
        recent.forEachStart(row) { token, start in
          target[token] = Int32(span.lowest(layout.shard.lowerBound + token, start: start))
        }
      }
      integers(none, 0).update(repeating: Int32.min / 2, count: none.count)
    }
  }

  var workspace: Workspace { recent.pass.context.workspace }
  private var layout: SequenceLayout { recent.pass.layout }
  private var length: Int { layout.length }

  /// Room for a number of each query of each head, `[rows, heads, length]`.
  func perQuery() -> Tensor {
    Tensor([layout.rows, heads, length], pool: workspace.pool)
  }

  /// Sums of all heads.
  ///
  /// - Parameters:
  ///   - o: `Σ_j e^{s_j − m} v_j` of each query and head, or with `divides` the quotient.
  ///   - maximum: m of each, or the log of the sum of `e^{s_j}`.
  ///   - sum: `Σ_j e^{s_j − m}` of each.
  ///   - maximal: Where the largest scores are, as 32-bit integers; nil where nobody asks.
  func forward(o: Tensor, maximum: Tensor, sum: Tensor, maximal: Tensor?, divides: Bool) throws {
    let tiles = SoftmaxAttention.tiles(length)
    let count = layout.rows * heads
    try each(count * tiles, queries: SoftmaxAttention.tile) { item, scratch in
      let (unit, tile) = (item / tiles, item % tiles)
      let tokens =
        tile * SoftmaxAttention.tile..<min((tile + 1) * SoftmaxAttention.tile, length)
      let sums = SoftmaxAttention.Sums(
        o: MutableTokenRows(o.pointer + place(unit), stride: outputStride),
        maximum: maximum.pointer + unit * length, sum: sum.pointer + unit * length)
      kernel.begin(sums, tokens: tokens)
      kernel.absorb(
        keys(unit), queries(unit), into: sums, tiles: tile..<tile + 1,
        maximal: maximal.map { integers($0, unit * length) }, scratch: scratch)
      if let extra = extraKeys(unit) {
        kernel.absorb(
          extra, extraQueries(unit), into: sums, tiles: tile..<tile + 1, scratch: scratch)
      }
      if divides { kernel.finish(sums, tokens: tokens) }
    }
  }

  /// Adds the gradients of queries, keys and values.
  ///
  /// Concretely, with `P = e^(s − logSum)`: `dV = Pᵀ dO`, `dS = scale P ⊙ (dO Vᵀ − delta)`.
  ///
  /// - Parameters:
  ///   - dO: Laid out as the output.
  ///   - dAll: Of the recent tokens, added to.
  ///   - dExtra: Of the extra keys and values, added to.
  ///   - maxima: Where the largest scores are, and their gradients; nil where they have none.
  func backward(
    dO: Tensor, logSum: Tensor, delta: Tensor, dq: Tensor, dAll: Tensor,
    dExtra: (k: Tensor, v: Tensor)? = nil, maxima: (at: Tensor, gradients: Tensor)? = nil
  ) throws {
    let (d, tiles) = (kernel.dimension, SoftmaxAttention.tiles(length))
    let shared = heads / keyHeads
    workspace.counters.attentionOperations +=
      AttentionSize.operationsPerPair * Double(pairs * heads * d)
    // Heads of keys over all rows, as the extra ones are of all rows.
    try each(keyHeads, queries: shared * layout.rows * length) { group, scratch in
      for row in 0..<layout.rows {
        for head in group * shared..<(group + 1) * shared {
          let unit = row * heads + head
          let at = unit * length
          let query = MutableTokenRows(
            dq.pointer + row * length * heads * d + head * d, stride: heads * d)
          let gradients = SoftmaxAttention.Gradients(
            dO: TokenRows(dO.pointer + place(unit), stride: outputStride), dq: query,
            logSum: logSum.pointer + at, delta: delta.pointer + at, sumsToOne: false)
          let first = dAll.pointer + row * recent.count * 2 * recent.columns + group * d
          let dk = MutableTokenRows(first, stride: 2 * recent.columns)
          kernel.backward(
            keys(unit), queries(unit), gradients, dk: dk,
            dv: MutableTokenRows(first + recent.columns, stride: 2 * recent.columns),
            tiles: 0..<tiles, scratch: scratch)
          if let maxima {
            kernel.maximaBackward(
              keys(unit), queries(unit), maximal: integers(maxima.at, at),
              dMaxima: maxima.gradients.pointer + at, dq: query, dk: dk)
          }
          if let extra = extraKeys(unit), let dExtra {
            kernel.backward(
              extra, extraQueries(unit), gradients,
              dk: MutableTokenRows(dExtra.k.pointer + head * d, stride: heads * d),
              dv: MutableTokenRows(dExtra.v.pointer + head * d, stride: heads * d),
              tiles: 0..<tiles, scratch: scratch)
          }
        }
      }
    }
  }

  /// Pairs of a query and a key that it sees, over all rows and one head.
  private var pairs: Int {
    var pairs = 0
    for row in 0..<layout.rows {
      recent.forEachStart(row) { token, start in
        let position = layout.shard.lowerBound + token
        pairs += position + 1 - max(recent.first, span.lowest(position, start: start))
      }
    }
    return pairs + layout.rows * length * (extra?.k.shape[0] ?? 0)
  }

  // MARK: Units

  /// Where a unit's output begins.
  func place(_ unit: Int) -> Int {
    unit / heads * length * outputStride + unit % heads * headStride
  }

  private func keys(_ unit: Int) -> SoftmaxAttention.Keys {
    recent.keys(
      all, row: unit / heads, column: unit % heads / (heads / keyHeads) * kernel.dimension)
  }

  private func queries(_ unit: Int) -> SoftmaxAttention.Queries {
    SoftmaxAttention.Queries(
      queryRows(unit), tokens: length, first: layout.shard.lowerBound,
      lowest: integers(lowest, unit / heads * length))
  }

  private func queryRows(_ unit: Int) -> TokenRows {
    let width = heads * kernel.dimension
    return TokenRows(
      q.pointer + unit / heads * length * width + unit % heads * kernel.dimension, stride: width)
  }

  /// The extra keys of a unit, as if they stood before everything.
  private func extraKeys(_ unit: Int) -> SoftmaxAttention.Keys? {
    guard let extra else { return nil }
    let (tokens, width) = (extra.k.shape[0], heads * kernel.dimension)
    let column = unit % heads * kernel.dimension
    return SoftmaxAttention.Keys(
      TokenRows(extra.k.pointer + column, stride: width),
      TokenRows(extra.v.pointer + column, stride: width), tokens: tokens, first: -tokens)
  }

  private func extraQueries(_ unit: Int) -> SoftmaxAttention.Queries {
    SoftmaxAttention.Queries(
      queryRows(unit), tokens: length, first: 0, lowest: integers(none, 0))
  }

  func integers(_ tensor: Tensor, _ offset: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(tensor.pointer + offset).assumingMemoryBound(to: Int32.self)
  }

  /// Runs a body for every item over all threads, each with scratch of its own, and polls now and then.
  private func each(
    _ count: Int, queries: Int,
    _ body: @Sendable (_ item: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let each = (kernel.scratchCount + 15) / 16 * 16
    let (team, pool) = (workspace.team, workspace.pool)
    let scratch = Tensor([each * team.size], pool: pool)
    let keys = min(recent.count, span.reach + 1 + SoftmaxAttention.tile)
    try workspace.inBatches(
      count, operations: queries * keys * 4 * kernel.dimension, atLeast: team.size
    ) { batch in
      workspace.compute(.attention) {
        team.parallel(batch.count) { thread, items in
          for item in items { body(batch.lowerBound + item, scratch.pointer + thread * each) }
        }
      }
    }
  }
}
