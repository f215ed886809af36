import Autodiff
import Kernels
import Tensors

/// The units (row, head) of one recurrence on one shard: where each one's numbers lie.
///
/// Where tokens fall on subsequences, each of these stands in the place of a row.
///
/// Heads of q, k, v, g, beta, a and b may be fewer than the state's; a head then serves as many neighbouring
/// heads of the state as it takes. Units that write to a shared gradient form a group, which one thread
/// works through in order.
///
/// Unchecked: of its inputs it reads values, which never change; each thread writes what belongs to its units.
struct RecurrenceUnits: @unchecked Sendable {
  let kernel: any RecurrenceKernel
  let inputs: RecurrenceInputs
  /// Queries, keys, values and low-rank rows as they are stored.
  private let q, k, v: Rows
  private let a, b: Rows?
  let layout: SequenceLayout
  /// The rows of each sequence.
  let parts: [ShardRows]
  /// Rows of all.
  let rowCount: Int
  /// Sequences of each row of the batch.
  private let sequencesPerRow: Int
  let heads: Int
  let plans: [ChunkPlan]
  let groups: Int
  let keptOffsets: [Int]
  let keptBackwardOffsets: [Int]
  /// Floats that all units keep, in either direction; of subsequences as many as they can ever need, so that no size hangs on
  /// what tokens choose.
  let keptCount, keptBackwardCount: Int

  init(
    kernel: any RecurrenceKernel, inputs: RecurrenceInputs, layout: SequenceLayout,
    of subsequences: Subsequences? = nil
  ) {
    self.kernel = kernel
    self.inputs = inputs
    parts = subsequences?.parts ?? layout.shardRows
    sequencesPerRow = subsequences?.groups ?? 1
    rowCount = inputs.q.shape.rows
    precondition(
      parts.reduce(0) { $0 + $1.count } == rowCount,
      "\(rowCount) rows in sequences of \(parts.map(\.count))")
    precondition(
      subsequences == nil || inputs.logDecay.isEmpty,
      "no rank knows how many tokens of a subsequence others have, which a fixed decay asks for")
    func rows(_ x: Variable) -> Rows { Rows(numbers: x.stored, columns: x.shape.columns) }
    (q, k, v) = (rows(inputs.q), rows(inputs.k), rows(inputs.v))
    (a, b) = (inputs.a.map(rows), inputs.b.map(rows))
    self.layout = layout
    let lowRank = [inputs.a, inputs.b].compactMap { $0 }
    let counts =
      [
        inputs.q.shape.columns / kernel.queryWidth, inputs.k.shape.columns / kernel.keyWidth,
        inputs.v.shape.columns / kernel.valueWidth,
      ] + lowRank.map { $0.shape.columns / kernel.keyWidth }
    heads = counts.max()!
    precondition(
      counts.allSatisfy { $0 > 0 && counts.max()! % $0 == 0 },
      "heads of q, k, v, a and b do not divide the state's: \(counts)")
    groups = parts.count * counts.min()!
    plans = parts.map {
      ChunkPlan(tokens: $0.count, starts: $0.starts, chunkLength: kernel.chunkLength)
    }
    keptOffsets = Self.offsets(plans, heads: heads, kernel.keptCount)
    keptBackwardOffsets = Self.offsets(plans, heads: heads, kernel.keptBackwardCount)
    let most = subsequences?.mostChunks(of: kernel.chunkLength)
    keptCount = Self.count(plans, heads: heads, chunks: most, keptOffsets, kernel.keptCount)
    keptBackwardCount = Self.count(
      plans, heads: heads, chunks: most, keptBackwardOffsets, kernel.keptBackwardCount)
  }

  /// Where each unit's part of a buffer begins, on a cache line; last, where the buffer ends.
  private static func offsets(_ plans: [ChunkPlan], heads: Int, _ count: (ChunkPlan) -> Int)
    -> [Int]
  {
    var offsets = [0]
    for plan in plans {
      let each = (count(plan) + 15) / 16 * 16
      for _ in 0..<heads { offsets.append(offsets.last! + each) }
    }
    return offsets
  }

  /// Floats of a buffer of all units: where its last part ends; where the chunks may be more in all, with room for these.
  private static func count(
    _ plans: [ChunkPlan], heads: Int, chunks: Int?, _ offsets: [Int], _ count: (ChunkPlan) -> Int
  ) -> Int {
    guard let chunks else { return offsets.last! }
    let one = ChunkPlan(tokens: 2, chunkLength: 2)
    let two = ChunkPlan(tokens: 2, chunkLength: 1)
    let more = chunks - plans.reduce(0) { $0 + $1.chunks.count }
    let each = plans.reduce(0) { $0 + count($1) } + more * (count(two) - count(one))
    // Whatever the parts are rounded up by.
    let all = heads * (each + 15 * plans.count)
    precondition(more >= 0 && all >= offsets.last!, "\(-more) chunks more than \(chunks)")
    return all
  }

  /// Sequences × heads.
  var count: Int { parts.count * heads }

  /// Tokens of the longest sequence.
  var mostTokens: Int { parts.map(\.count).max() ?? 0 }

  /// The row of the batch that a unit is of.
  func row(_ unit: Int) -> Int { unit / heads / sequencesPerRow }

  /// Whether a document starts behind a unit's last token, so that nothing leaves the shard.
  func endsAnew(_ unit: Int) -> Bool { parts[unit / heads].endsAnew }

  /// Floating-point operations of a forward pass, of what is before a token alone; a backward pass takes twice as many.
  var operations: Double {
    let (k, v, c) = (
      Double(kernel.keyDimension), Double(kernel.valueDimension), Double(kernel.chunkLength)
    )
    let each =
      kernel.mapKind == .matrix
      ? c * (3 * k + 2 * v) + 6 * k * v : c * (k + v) + 4 * k * v
    return Double(rowCount * heads) * each
  }

  /// The units of a range of groups.
  func units(_ groups: Range<Int>) -> Range<Int> {
    let each = count / max(self.groups, 1)
    return groups.lowerBound * each..<groups.upperBound * each
  }

  func plan(_ unit: Int) -> ChunkPlan { plans[unit / heads] }

  /// What a unit reads.
  func head(_ unit: Int) -> RecurrenceHead {
    let head = unit % heads
    return RecurrenceHead(
      q: rows(q, unit, width: kernel.queryWidth),
      k: rows(k, unit, width: kernel.keyWidth),
      v: rows(v, unit, width: kernel.valueWidth),
      g: inputs.g.map { rows($0.value, unit, width: gWidth) },
      beta: inputs.beta.map { rows($0.value, unit, width: 1) },
      a: a.map { rows($0, unit, width: kernel.keyWidth) },
      b: b.map { rows($0, unit, width: kernel.keyWidth) },
      logDecay: inputs.logDecay.isEmpty ? 0 : inputs.logDecay[head])
  }

  /// What a unit writes in the backward pass.
  func gradient(
    _ unit: Int, o: Tensor?, dO: Tensor, _ gradients: RecurrenceGradients
  ) -> RecurrenceGradient {
    RecurrenceGradient(
      dO: rows(dO, unit, width: kernel.outputWidth),
      o: o.map { rows($0, unit, width: kernel.outputWidth) },
      dq: target(gradients.q, unit, width: kernel.queryWidth),
      dk: target(gradients.k, unit, width: kernel.keyWidth),
      dv: target(gradients.v, unit, width: kernel.valueWidth),
      dg: gradients.g.map { target($0, unit, width: gWidth) },
      dbeta: gradients.beta.map { target($0, unit, width: 1) },
      da: gradients.a.map { target($0, unit, width: kernel.keyWidth) },
      db: gradients.b.map { target($0, unit, width: kernel.keyWidth) })
  }

  /// Where a unit's output goes.
  func output(_ unit: Int, _ o: Tensor) -> MutableTokenRows {
    target(o, unit, width: kernel.outputWidth)
  }

  /// Numbers of `g` a token and head.
  private var gWidth: Int { kernel.decayDimension }

  /// Rows of all heads.
  private struct Rows {
    let numbers: Operand
    let columns: Int
  }

  private func place(_ columns: Int, _ unit: Int, width: Int) -> (offset: Int, first: Bool) {
    let own = columns / width
    let (part, head) = (parts[unit / heads], unit % heads)
    let shared = heads / own
    return (part.first * columns + head / shared * width, head % shared == 0)
  }

  private func rows(_ tensor: Tensor, _ unit: Int, width: Int) -> TokenRows {
    rows(Rows(numbers: Operand(tensor), columns: tensor.shape.columns), unit, width: width)
  }

  private func rows(_ rows: Rows, _ unit: Int, width: Int) -> TokenRows {
    TokenRows(
      rows.numbers.from(place(rows.columns, unit, width: width).offset), stride: rows.columns)
  }

  private func target(_ tensor: Tensor, _ unit: Int, width: Int) -> MutableTokenRows {
    let (offset, first) = place(tensor.shape.columns, unit, width: width)
    return MutableTokenRows(
      tensor.pointer + offset, stride: tensor.shape.columns, accumulates: !first)
  }
}
