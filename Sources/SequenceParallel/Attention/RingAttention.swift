import Measurement
import MessagePassing
import Tensors

/// Full attention by passing keys and values from rank to rank, and their gradients with them.
///
/// Rank r sends its block to r+1, and then each that it receives, as soon as it is there; so the blocks
/// r−1, r−2, … 0 come by, and no block goes to a rank that does not see it. Backward they travel once more;
/// behind each its gradients, to which every rank adds its own, until the last rank sends them home.
///
/// Nothing can deadlock: sends never wait, and a rank waits for the rank before it only, for blocks and for
/// gradients in the same order in which that rank sends them. So the first rank waits for nobody, and by
/// induction each rank comes to the end of its blocks. Only then does it wait for the last rank, which sends
/// gradients home before it waits for anything of the kind. Blocks that are empty are not sent.
///
/// - Source: "Ring Attention" (arXiv 2310.01889).
struct RingAttention: AttentionCrossing {
  private let held: HeldKeys

  init(slot: CarrySlot, widths: KeyWidths, pass: SequencePass) {
    held = HeldKeys(slot: slot, widths: widths, sendsTails: false, pass: pass)
  }

  var keepsOutput: Bool { true }

  /// Tags apart from those of states and halos.
  private enum Tag: Int {
    case keys = 5
    case keysAgain
    case gradients

    var direction: ExchangeDirection { self == .keys ? .forward : .backward }
  }

  private var pass: SequencePass { held.pass }
  private var layout: SequenceLayout { pass.layout }
  private var rank: Int { layout.rank }
  private var last: Int { layout.shardLengths.count - 1 }
  private var workspace: Workspace { pass.context.workspace }
  /// The ranks whose blocks come by, in order.
  private var sources: [Int] {
    (0..<rank).reversed().filter { !held.positions(of: $0).isEmpty }
  }

  func forward(_ heads: any KeyReader, isAgain: Bool) throws {
    let kept = isAgain ? nil : KeptKeys(held)
    var known = [Int](repeating: 0, count: layout.rows)
    // What was forgotten between a block and this shard: blocks come from the nearest to the first.
    var after = heads.noGates
    try travel(heads, .forward) {
      kept?.keep(heads.own)
      try held.absorbLeft(heads)
      try heads.absorb(heads.own)
    } each: { source, message in
      if source == 0 {
        known = held.lengths(in: message.pointer)
        heads.see(before: known.map { $0 + layout.shard.lowerBound })
      }
      let block = block(message, offset: held.headCount, source)
      kept?.keep(block)
      try heads.absorb(block, after: after)
      after = heads.gateSums(of: block, and: after)
    }
    kept?.finish(known: known)
  }

  func backward(
    _ heads: any KeyReader, dO: Tensor, dq: Tensor, into gradients: KeyGradients
  ) throws {
    let own = gradients.block(layout)
    var left: Tensor?
    var after = heads.noGates
    let isSent = rank < last && !held.positions(of: rank).isEmpty
    let home = isSent ? try receiveGradients(of: rank, from: last) : nil
    try travel(heads, .backward) {
      left = try held.backwardLeft(heads, dO: dO, dq: dq)
      held.addRight(to: own)
      try heads.backward(heads.own, into: own, dO: dO, dq: dq)
    } each: { source, message in
      // What the ranks between have added; the holder's own part stays at home.
      let partial = source < rank - 1 ? try receiveGradients(of: source, from: rank - 1) : nil
      let sums = Tensor(
        [MessageHeader.floats + held.count(held.positions(of: source).count)],
        pool: workspace.pool)
      workspace.compute(.attention) {
        sums.clear()
        header(source, .backward).write(to: sums.pointer)
      }
      let gradients = block(sums, offset: MessageHeader.floats, source)
      held.addRight(to: gradients)
      let keys = block(message, offset: held.headCount, source)
      try heads.backward(keys, after: after, into: gradients, dO: dO, dq: dq)
      after = heads.gateSums(of: keys, and: after)
      if let partial {
        try take(partial, source, from: rank - 1, .gradients)
        workspace.compute(.attention) {
          let (sum, more) = (sums.pointer, partial.message.pointer)
          for index in MessageHeader.floats..<sums.count { sum[index] += more[index] }
        }
      }
      try send(sums, to: rank < last ? rank + 1 : source, .gradients)
    }
    if let home {
      try take(home, rank, from: last, .gradients)
      workspace.compute(.attention) {
        held.deliver(
          home.message.pointer + MessageHeader.floats, positions: held.positions(of: rank),
          to: own, left: left)
      }
    }
    if let left { pass.left.gradients[held.slot] = left }
  }

  /// Sends this rank's block on its way, works on it, and then on each that comes by and is passed on.
  private func travel(
    _ heads: any KeyReader, _ direction: ExchangeDirection, own: () throws -> Void,
    each: (_ source: Int, _ message: Tensor) throws -> Void
  ) throws {
    let tag = direction == .forward ? Tag.keys : .keysAgain
    let sources = sources
    func receive(_ index: Int) throws -> IncomingMessage? {
      guard index < sources.count else { return nil }
      let count = held.headCount + held.count(held.positions(of: sources[index]).count)
      return try self.receive(count, from: rank - 1, tag)
    }
    var coming = try receive(0)
    let positions = held.positions(of: rank)
    if rank < last && !positions.isEmpty {
      let message = Tensor(
        [held.headCount + held.count(positions.count)], pool: workspace.pool)
      workspace.compute(.attention) {
        held.write(positions, of: heads, header(rank, direction), into: message.pointer)
      }
      try send(message, to: rank + 1, tag)
    }
    try own()
    for (index, source) in sources.enumerated() {
      let next = try receive(index + 1)
      try take(coming!, source, from: rank - 1, tag)
      let message = coming!.message
      if rank < last { try send(message, to: rank + 1, tag) }
      try each(source, message)
      coming = next
    }
  }

  // MARK: Messages

  private func header(_ source: Int, _ direction: ExchangeDirection) -> MessageHeader {
    MessageHeader(
      held.slot, pass, direction, slice: source,
      count: held.count(held.positions(of: source).count))
  }

  private func block(_ message: Tensor, offset: Int, _ source: Int) -> KeyBlock {
    let positions = held.positions(of: source)
    return KeyBlock(
      packed: message, offset: offset, first: positions.lowerBound, tokens: positions.count,
      widths: held.widths)
  }

  private func receiveGradients(of source: Int, from sender: Int) throws -> IncomingMessage {
    try receive(
      MessageHeader.floats + held.count(held.positions(of: source).count), from: sender,
      .gradients)
  }

  private func receive(_ count: Int, from sender: Int, _ tag: Tag) throws -> IncomingMessage {
    let message = Tensor([count], pool: workspace.pool)
    let request = try pass.context.sequence.receive(
      into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * count), from: sender,
      tag: tag.rawValue)
    return IncomingMessage(message: message, request: request)
  }

  private func send(_ message: Tensor, to receiver: Int, _ tag: Tag) throws {
    try pass.mark(
      .send(to: receiver, tag: tag.rawValue), message.pointer, bytes: 4 * message.count
    ) {
      try pass.context.outbox.send(
        message, to: receiver, tag: tag.rawValue, through: pass.context.sequence)
    }
    workspace.counters.haloBytesSent += 4 * message.count
  }

  /// Waits for a message of the keys of `source`, or of their gradients, and checks that it is one.
  private func take(_ coming: IncomingMessage, _ source: Int, from sender: Int, _ tag: Tag) throws {
    try workspace.counters.measure(.stateWait) {
      try coming.wait(
        for: "the \(tag.direction) keys of layer \(held.slot.layer) by way of rank \(sender)",
        polling: workspace.poll)
    }
    let message = coming.message
    try pass.mark(
      .receive(from: sender, tag: tag.rawValue), message.pointer, bytes: 4 * message.count
    ) {
      try workspace.compute(.attention) {
        try header(source, tag.direction).check(message.pointer, rank: rank, source: sender)
      }
    }
  }
}
