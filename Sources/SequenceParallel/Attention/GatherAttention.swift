import Measurement
import MessagePassing
import Tensors

/// Full attention by gathering all keys and values on every rank, in tiles of positions.
///
/// A tile has the t-th so many positions that each rank holds. While one is worked on, the next is on its
/// way. Backward, the tiles are gathered again, and their gradients are reduced to the ranks that hold them.
///
/// Nothing can deadlock: every rank of the group starts the same collectives in the same order, tile after
/// tile and layer after layer, ranks without tokens included, and waits for each only after it has started it.
///
/// - Source: LASP-2 (arXiv 2502.07563), LASP-2H.
struct GatherAttention: AttentionCrossing {
  private let held: HeldKeys
  /// Positions of each rank in a tile.
  private let width: Int
  private let tiles: Int

  /// Floats of a tile of all ranks: small beside activations, large beside a message's latency.
  private static let tileCount = 1 << 21

  init(slot: CarrySlot, widths: KeyWidths, pass: SequencePass) {
    held = HeldKeys(
      slot: slot, widths: widths, sendsTails: widths.gates > 0, pass: pass)
    let ranks = pass.layout.shardLengths.count
    let most = (0..<ranks).map { [held] in held.positions(of: $0).count }.max() ?? 0
    width = max(64, Self.tileCount / max(1, ranks * held.count(1)) / 64 * 64)
    tiles = (most + width - 1) / width
  }

  var keepsOutput: Bool { true }

  private var pass: SequencePass { held.pass }
  private var layout: SequenceLayout { pass.layout }
  private var ranks: Int { layout.shardLengths.count }
  private var group: any Communicator { pass.context.sequence }
  private var workspace: Workspace { pass.context.workspace }

  func forward(_ heads: any KeyReader, isAgain: Bool) throws {
    let kept = isAgain ? nil : KeptKeys(held)
    var coming = try begin(0, heads, .forward)
    kept?.keep(heads.own)
    try held.absorbLeft(heads)
    try heads.absorb(heads.own)
    var known = [Int](repeating: 0, count: layout.rows)
    var between: [[Double]] = []
    for index in 0..<tiles {
      let next = try begin(index + 1, heads, .forward)
      let (tile, message) = try finish(coming!, .forward)
      if index == 0 {
        known = held.lengths(in: message.pointer)
        heads.see(before: known.map { $0 + layout.shard.lowerBound })
        between = gatesBetween(heads, message, tile)
      }
      for rank in 0..<layout.rank {
        let block = block(message, tile, rank)
        kept?.keep(block)
        try heads.absorb(block, after: gatesAfter(message, tile, rank, between))
      }
      coming = next
    }
    kept?.finish(known: known)
  }

  func backward(
    _ heads: any KeyReader, dO: Tensor, dq: Tensor, into gradients: KeyGradients
  ) throws {
    var coming = try begin(0, heads, .backward)
    let own = gradients.block(layout)
    let left = try held.backwardLeft(heads, dO: dO, dq: dq)
    held.addRight(to: own)
    try heads.backward(heads.own, into: own, dO: dO, dq: dq)
    var reducing: Reduction?
    var between: [[Double]] = []
    for index in 0..<tiles {
      let next = try begin(index + 1, heads, .backward)
      let (tile, message) = try finish(coming!, .backward)
      if index == 0 { between = gatesBetween(heads, message, tile) }
      let sums = Tensor([tile.counts.reduce(0, +)], pool: workspace.pool)
      workspace.compute(.attention) { sums.clear() }
      var offset = 0
      for rank in 0..<layout.rank {
        let positions = tile.positions[rank]
        let gradients = KeyBlock(
          packed: sums, offset: offset, first: positions.lowerBound, tokens: positions.count,
          widths: held.widths)
        offset += tile.counts[rank]
        held.addRight(to: gradients)
        try heads.backward(
          block(message, tile, rank), after: gatesAfter(message, tile, rank, between),
          into: gradients, dO: dO, dq: dq)
      }
      try finish(reducing, own: own, left: left)
      reducing = try reduce(sums, tile)
      coming = next
    }
    try finish(reducing, own: own, left: left)
    if let left { pass.left.gradients[held.slot] = left }
  }

  // MARK: Tiles

  /// What every rank has in a tile.
  private struct Tile {
    let index: Int
    /// Each rank's positions.
    let positions: [Range<Int>]
    /// Floats of each rank's keys and values.
    let counts: [Int]
    /// Where each rank's part of a message begins, which is its head, and where the last ends.
    let offsets: [Int]
  }

  private func tile(_ index: Int) -> Tile {
    let positions = (0..<ranks).map { rank in
      let all = held.positions(of: rank)
      let first = min(all.lowerBound + index * width, all.upperBound)
      return first..<min(first + width, all.upperBound)
    }
    let counts = positions.map { held.count($0.count) }
    return Tile(
      index: index, positions: positions, counts: counts,
      offsets: counts.reduce(into: [0]) { $0.append($0.last! + held.headCount + $1) })
  }

  private func header(_ tile: Tile, _ rank: Int, _ direction: ExchangeDirection) -> MessageHeader {
    MessageHeader(held.slot, pass, direction, slice: tile.index, count: tile.counts[rank])
  }

  /// A rank's keys and values in a tile that has come.
  private func block(_ message: Tensor, _ tile: Tile, _ rank: Int) -> KeyBlock {
    let positions = tile.positions[rank]
    return KeyBlock(
      packed: message, offset: tile.offsets[rank] + held.headCount, first: positions.lowerBound,
      tokens: positions.count, widths: held.widths)
  }

  /// What is forgotten between each rank before this one and this shard, from what the first tile of all tells.
  private func gatesBetween(_ heads: any KeyReader, _ message: Tensor, _ tile: Tile) -> [[Double]] {
    var between = [[Double]](repeating: [], count: layout.rank)
    var sums = heads.noGates
    for rank in (0..<layout.rank).reversed() {
      between[rank] = sums
      sums = heads.gateSums(
        of: block(message, tile, rank), and: gatesAfter(message, tile, rank, between))
    }
    return between
  }

  /// What is forgotten between a rank's part of a tile and this shard.
  private func gatesAfter(
    _ message: Tensor, _ tile: Tile, _ rank: Int, _ between: [[Double]]
  ) -> [Double] {
    guard held.gates > 0 else { return [] }
    let tails = held.tails(in: message.pointer + tile.offsets[rank])
    return zip(tails, between[rank]).map { $0 + $1 }
  }

  /// Starts to gather a tile, if there is one; this rank's part is written where it will stand.
  private func begin(
    _ index: Int, _ heads: any KeyReader, _ direction: ExchangeDirection
  ) throws -> (tile: Tile, incoming: IncomingMessage)? {
    guard index < tiles else { return nil }
    let (tile, rank) = (tile(index), layout.rank)
    let message = Tensor([tile.offsets.last!], pool: workspace.pool)
    let mine = message.pointer + tile.offsets[rank]
    workspace.compute(.attention) {
      held.write(tile.positions[rank], of: heads, header(tile, rank, direction), into: mine)
    }
    let counts = tile.counts.map { 4 * (held.headCount + $0) }
    workspace.counters.haloBytesSent += (ranks - 1) * counts[rank]
    return try pass.mark(.send(to: nil, tag: 0), mine, bytes: counts[rank]) {
      let request = try group.allGather(
        UnsafeRawBufferPointer(start: mine, count: counts[rank]),
        into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count),
        counts: counts)
      return (tile, IncomingMessage(message: message, request: request))
    }
  }

  /// Waits for a tile, and checks that every rank sent what it should.
  private func finish(
    _ coming: (tile: Tile, incoming: IncomingMessage), _ direction: ExchangeDirection
  ) throws -> (tile: Tile, message: Tensor) {
    let (tile, incoming) = coming
    try workspace.counters.measure(.stateWait) {
      try incoming.wait(
        for: "keys and values of layer \(held.slot.layer), tile \(tile.index)",
        polling: workspace.poll)
    }
    let message = incoming.message
    try pass.mark(.receive(from: nil, tag: 0), message.pointer, bytes: 4 * message.count) {
      try workspace.compute(.attention) {
        for rank in 0..<ranks {
          try header(tile, rank, direction).check(
            message.pointer + tile.offsets[rank], rank: layout.rank, source: rank)
        }
      }
    }
    return (tile, message)
  }

  /// Gradients of a tile on their way to the ranks that hold its keys.
  private struct Reduction {
    /// All ranks' gradients, alive until they have left, and this rank's sums.
    let sums: Tensor
    let incoming: IncomingMessage
    let positions: Range<Int>
  }

  private func reduce(_ sums: Tensor, _ tile: Tile) throws -> Reduction {
    let mine = Tensor([tile.counts[layout.rank]], pool: workspace.pool)
    workspace.counters.haloBytesSent += 4 * (sums.count - mine.count)
    let incoming = try mark("send", bytes: 4 * (sums.count - mine.count)) {
      let request = try group.reduceScatter(
        UnsafeMutableBufferPointer(start: sums.pointer, count: sums.count),
        into: UnsafeMutableBufferPointer(start: mine.pointer, count: mine.count),
        counts: tile.counts)
      return IncomingMessage(message: mine, request: request)
    }
    return Reduction(sums: sums, incoming: incoming, positions: tile.positions[layout.rank])
  }

  /// Runs `body` as a span of the trace that sends or takes gradients of keys, which have no header.
  private func mark<Result>(_ name: String, bytes: Int, _ body: () throws -> Result) rethrows
    -> Result
  {
    try workspace.counters.mark(
      name,
      Trace.Message(.keys(layer: held.slot.layer), direction: "backward", bytes: bytes), body)
  }

  private func finish(_ reduction: Reduction?, own: KeyBlock, left: Tensor?) throws {
    guard let reduction else { return }
    try workspace.counters.measure(.stateWait) {
      try reduction.incoming.wait(
        for: "gradients of keys and values of layer \(held.slot.layer)", polling: workspace.poll)
    }
    let message = reduction.incoming.message
    mark("receive", bytes: 4 * message.count) {
      workspace.compute(.attention) {
        held.deliver(message.pointer, positions: reduction.positions, to: own, left: left)
      }
    }
  }
}
