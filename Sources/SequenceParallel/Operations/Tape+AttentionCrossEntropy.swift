import Autodiff
import Kernels
import MessagePassing
import Tensors

extension Tape {
  /// How far the weights of linear attention over features are from those of softmax attention: the cross-entropy of each
  /// position, summed over heads.
  ///
  /// Concretely: `L_i = −Σ_h Σ_j a_ij log max(ā_ij, 1e-12)` with `a_ij = softmax_j(d^−½ q_i k_j)` and
  /// `ā_ij = φ(q_i)·φ(k_j) / Σ_j φ(q_i)·φ(k_j)` over the keys `j ≤ i` of i's document, the teacher's within its window.
  /// Its gradient goes to the features alone. Keys and their features are gathered on every rank, in one collective that
  /// all ranks start, and the gradients of features of keys are reduced to the ranks that hold them; the weights are formed in
  /// tiles. Nothing may have come before the sequence.
  ///
  /// - Parameters:
  ///   - q: Queries, `[N, heads·d]`, of which no gradient is wanted; `k`, keys, `[N, keyHeads·d]`.
  ///   - queryFeatures: φ(q), `[N, heads·F]`, at least 0.
  ///   - keyFeatures: φ(k), of as many heads or of a divisor, which each serve neighbouring heads of queries.
  ///   - dimension: `d`.
  ///   - features: `F`.
  ///   - window: The most keys that the teacher's queries see; nil for all.
  ///   - slot: The layer's window, for messages.
  /// - Returns: `[N, 1]`.
  /// - Complexity: `O(T²)` for each head, over all ranks.
  /// - Source: Hedgehog (arXiv 2402.04347), section 4.2.
  package func attentionCrossEntropy(
    q: Variable, k: Variable, queryFeatures: Variable, keyFeatures: Variable, dimension: Int,
    features: Int, window: Int? = nil, slot: CarrySlot, pass: SequencePass
  ) throws -> Variable {
    let layout = pass.layout
    precondition(
      layout.start == 0 && pass.left.values[slot] == nil,
      "a cross-entropy of attention from position \(layout.start) on")
    let run = CrossEntropyRun(
      kernel: AttentionCrossEntropy(
        dimension: dimension, scale: 1 / Float(dimension).squareRoot(), features: features),
      q: q.value, queryFeatures: queryFeatures.value,
      widths: (k.shape.columns, keyFeatures.shape.columns),
      dimension: dimension, features: features, window: window, slot: slot, pass: pass)
    let all: Tensor
    if let gathered: GatheredKeys = pass.memory[slot] {
      all = gathered.all
    } else {
      all = try workspace.counters.measure(.attention) {
        try run.gather(k.value, keyFeatures.value)
      }
      pass.memory[slot] = GatheredKeys(all: all)
    }
    let y = Tensor([q.shape.rows, 1], pool: pool)
    let sums = try workspace.counters.measure(.attention) { try run.forward(all, losses: y) }
    return record(y, inputs: [queryFeatures, keyFeatures]) { [unowned self] dy in
      try workspace.counters.measure(.attention) {
        let dq = Tensor(queryFeatures.shape, pool: pool)
        let dk = try run.backward(all, sums, dy: dy, dq: dq)
        queryFeatures.add(gradient: dq, in: workspace)
        keyFeatures.add(
          gradient: Tensor(keyFeatures.shape, buffer: dk.buffer, offset: dk.offset), in: workspace)
      }
    }
  }
}

/// All keys and features of keys of a sequence, so that an op that runs again communicates nothing.
private struct GatheredKeys: Kept {
  typealias Key = CarrySlot

  let all: Tensor

  var suspended: GatheredKeys? { self }
  var tensors: [Tensor] { [all] }
}

/// The cross-entropies of one layer on one shard.
///
/// Nothing can deadlock: every rank of the group starts the same two collectives in the same order, ranks without tokens
/// included.
///
/// Unchecked: it is constant; a team's threads write what belongs to their own units.
private struct CrossEntropyRun: @unchecked Sendable {
  let kernel: AttentionCrossEntropy
  let q, queryFeatures: Tensor
  /// Numbers of a token's keys, and of their features.
  let widths: (k: Int, f: Int)
  let dimension, features: Int
  let slot: CarrySlot
  let pass: SequencePass
  let heads, keyHeads, featureHeads: Int
  /// The lowest position that each query sees, by the teacher and by the student: `[rows, length]`, 32-bit integers.
  private let teacherLowest, studentLowest: Tensor

  init(
    kernel: AttentionCrossEntropy, q: Tensor, queryFeatures: Tensor, widths: (k: Int, f: Int),
    dimension: Int, features: Int, window: Int?, slot: CarrySlot, pass: SequencePass
  ) {
    (self.kernel, self.q, self.queryFeatures) = (kernel, q, queryFeatures)
    (self.widths, self.dimension, self.features) = (widths, dimension, features)
    (self.slot, self.pass) = (slot, pass)
    (heads, keyHeads, featureHeads) = (
      q.shape.columns / dimension, widths.k / dimension, widths.f / features
    )
    precondition(
      keyHeads > 0 && featureHeads > 0 && heads % keyHeads == 0 && heads % featureHeads == 0
        && queryFeatures.shape.columns == heads * features,
      "q \(q.shape) with features \(queryFeatures.shape), keys of \(widths)")
    let (layout, workspace) = (pass.layout, pass.context.workspace)
    let (teacher, student) = (
      Tensor([layout.rows, layout.length], pool: workspace.pool),
      Tensor([layout.rows, layout.length], pool: workspace.pool)
    )
    (teacherLowest, studentLowest) = (teacher, student)
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        let at = row * layout.length
        var start = 0
        var later = layout.documentStarts[row][...]
        for token in 0..<layout.length {
          let position = layout.shard.lowerBound + token
          while let next = later.first, next <= position {
            start = next
            later.removeFirst()
          }
          Self.integers(student, at)[token] = Int32(start)
          Self.integers(teacher, at)[token] = Int32(
            window.map { max(start, position - $0 + 1) } ?? start)
        }
      }
    }
  }

  private static func integers(_ tensor: Tensor, _ offset: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(tensor.pointer + offset).assumingMemoryBound(to: Int32.self)
  }

  private var layout: SequenceLayout { pass.layout }
  private var workspace: Workspace { pass.context.workspace }
  private var ranks: Int { layout.shardLengths.count }
  /// Numbers of a token.
  private var width: Int { widths.k + widths.f }

  // MARK: Messages

  /// Keys and features of all tokens before the shard's end, `[rows, end, width]`.
  func gather(_ k: Tensor, _ f: Tensor) throws -> Tensor {
    let end = layout.shard.upperBound
    let all = Tensor([layout.rows, end, width], pool: workspace.pool)
    let counts = layout.shardLengths.map { MessageHeader.floats + layout.rows * $0 * width }
    let offsets = counts.reduce(into: [0]) { $0.append($0.last! + $1) }
    let message = Tensor([offsets.last!], pool: workspace.pool)
    let mine = message.pointer + offsets[layout.rank]
    workspace.compute(.attention) {
      header(layout.rank).write(to: mine)
      for token in 0..<layout.rows * layout.length {
        let target = mine + MessageHeader.floats + token * width
        target.update(from: k.pointer + token * widths.k, count: widths.k)
        (target + widths.k).update(from: f.pointer + token * widths.f, count: widths.f)
      }
    }
    workspace.counters.haloBytesSent += 4 * (ranks - 1) * counts[layout.rank]
    let request = try pass.context.sequence.allGather(
      UnsafeRawBufferPointer(start: mine, count: 4 * counts[layout.rank]),
      into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count),
      counts: counts.map { 4 * $0 })
    let incoming = IncomingMessage(message: message, request: request)
    try wait(incoming, "keys and features of layer \(slot.layer)")
    try workspace.compute(.attention) {
      for rank in 0...layout.rank {
        let (source, shard) = (message.pointer + offsets[rank], layout.shard(of: rank))
        try header(rank).check(source, rank: layout.rank, source: rank)
        for row in 0..<layout.rows {
          (all.pointer + (row * end + shard.lowerBound) * width).update(
            from: source + MessageHeader.floats + row * shard.count * width,
            count: shard.count * width)
        }
      }
    }
    return all
  }

  /// Brings the sum of all ranks' gradients of features of keys home, `[N, F…]`.
  private func scatter(_ dAll: Tensor) throws -> Tensor {
    let (end, F) = (layout.shard.upperBound, widths.f)
    let counts = layout.shardLengths.map { layout.rows * $0 * F }
    let message = Tensor([counts.reduce(0, +)], pool: workspace.pool)
    let mine = Tensor([counts[layout.rank]], pool: workspace.pool)
    workspace.compute(.attention) {
      message.clear()
      var target = message.pointer
      for rank in 0...layout.rank {
        let shard = layout.shard(of: rank)
        for row in 0..<layout.rows {
          target.update(
            from: dAll.pointer + (row * end + shard.lowerBound) * F, count: shard.count * F)
          target += shard.count * F
        }
      }
    }
    workspace.counters.haloBytesSent += 4 * (message.count - mine.count)
    let request = try pass.context.sequence.reduceScatter(
      UnsafeMutableBufferPointer(start: message.pointer, count: message.count),
      into: UnsafeMutableBufferPointer(start: mine.pointer, count: mine.count), counts: counts)
    try wait(
      IncomingMessage(message: mine, request: request),
      "gradients of features of layer \(slot.layer)")
    // The request has ended, but what it read from must live until then.
    withExtendedLifetime(message) {}
    return mine
  }

  private func header(_ rank: Int) -> MessageHeader {
    MessageHeader(
      slot, pass, .forward, slice: rank, count: layout.rows * layout.shardLengths[rank] * width)
  }

  private func wait(_ incoming: IncomingMessage, _ what: String) throws {
    try workspace.counters.measure(.stateWait) {
      try incoming.wait(for: what, polling: workspace.poll)
    }
  }

  // MARK: Units

  /// The numbers that a forward pass finds of each query, each `[rows, heads, length]`.
  struct Found {
    let logSum, total, covered, loss: Tensor
  }

  func forward(_ all: Tensor, losses y: Tensor) throws -> Found {
    func numbers() -> Tensor {
      Tensor([layout.rows, heads, layout.length], pool: workspace.pool)
    }
    let found = Found(
      logSum: numbers(), total: numbers(), covered: numbers(), loss: numbers())
    let tiles = SoftmaxAttention.tiles(layout.length)
    try each(layout.rows * heads * tiles, queries: SoftmaxAttention.tile) { item, scratch in
      let (unit, tile) = (item / tiles, item % tiles)
      kernel.forward(
        inputs(unit, all), into: sums(found, unit), tiles: tile..<tile + 1, scratch: scratch)
    }
    workspace.compute(.attention) {
      for row in 0..<layout.rows {
        for token in 0..<layout.length {
          var sum: Float = 0
          for head in 0..<heads {
            sum += found.loss.pointer[(row * heads + head) * layout.length + token]
          }
          y.pointer[row * layout.length + token] = sum
        }
      }
    }
    return found
  }

  /// Writes the gradients of the queries' features; gives those of the shard's keys.
  func backward(_ all: Tensor, _ found: Found, dy: Tensor, dq: Tensor) throws -> Tensor {
    let (end, length) = (layout.shard.upperBound, layout.length)
    let dAll = Tensor([layout.rows, end, widths.f], pool: workspace.pool)
    workspace.compute(.attention) {
      dAll.clear()
      dq.clear()
    }
    let shared = heads / featureHeads
    try each(layout.rows * featureHeads, queries: shared * length) { group, scratch in
      let row = group / featureHeads
      for unit in group * shared..<(group + 1) * shared {
        kernel.backward(
          inputs(unit, all), sums(found, unit), dLoss: dy.pointer + row * length,
          dq: MutableTokenRows(
            dq.pointer + row * length * heads * features + unit % heads * features,
            stride: heads * features),
          dk: MutableTokenRows(
            dAll.pointer + row * end * widths.f + group % featureHeads * features,
            stride: widths.f),
          tiles: 0..<SoftmaxAttention.tiles(length), scratch: scratch)
      }
    }
    return try scatter(dAll)
  }

  private func sums(_ found: Found, _ unit: Int) -> AttentionCrossEntropy.Sums {
    let at = unit * layout.length
    return AttentionCrossEntropy.Sums(
      logSum: found.logSum.pointer + at, total: found.total.pointer + at,
      covered: found.covered.pointer + at, loss: found.loss.pointer + at)
  }

  private func inputs(_ unit: Int, _ all: Tensor) -> AttentionCrossEntropy.Inputs {
    let (row, head) = (unit / heads, unit % heads)
    func queries(_ tensor: Tensor, _ own: Int, _ lowest: Tensor) -> SoftmaxAttention.Queries {
      let columns = tensor.shape.columns
      return SoftmaxAttention.Queries(
        TokenRows(
          tensor.pointer + row * layout.length * columns + head * own, stride: columns),
        tokens: layout.length, first: layout.shard.lowerBound,
        lowest: Self.integers(lowest, row * layout.length))
    }
    let end = layout.shard.upperBound
    let base = all.pointer + row * end * width
    return AttentionCrossEntropy.Inputs(
      teacher: queries(q, dimension, teacherLowest),
      student: queries(queryFeatures, features, studentLowest),
      keys: SoftmaxAttention.Keys(
        TokenRows(base + head / (heads / keyHeads) * dimension, stride: width),
        TokenRows(
          base + widths.k + head / (heads / featureHeads) * features, stride: width),
        tokens: end, first: 0))
  }

  /// Runs a body for every item over all threads, each with scratch of its own, and polls now and then.
  private func each(
    _ count: Int, queries: Int,
    _ body: @Sendable (_ item: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let each = (kernel.scratchCount + 15) / 16 * 16
    let (team, end) = (workspace.team, layout.shard.upperBound)
    let scratch = Tensor([each * team.size], pool: workspace.pool)
    try workspace.inBatches(
      count, operations: queries * end * 4 * (dimension + features), atLeast: team.size
    ) { batch in
      workspace.compute(.attention) {
        team.parallel(batch.count) { thread, items in
          for item in items { body(batch.lowerBound + item, scratch.pointer + thread * each) }
        }
      }
    }
  }
}
