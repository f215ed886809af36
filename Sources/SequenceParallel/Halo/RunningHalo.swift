import Measurement
import MessagePassing
import Tensors

/// Brings the last rows of every subsequence before each shard to it, and their gradients back: all of them in one message
/// from neighbour to neighbour, for one slot of one pass.
///
/// Which rank holds the last rows of a subsequence, nobody but that rank knows. So they are a carry that runs along: what
/// leaves a shard are the last rows of what entered it and its own. What came before the sequence comes from the first
/// rank's `left` carry.
///
/// A shard with enough rows in each subsequence sends before it has received, so that halos run ahead of everything.
/// Nothing can deadlock: in each direction a rank posts its receive first and waits for one neighbour alone, forward for
/// the rank before it; the first (backward: the last) waits for nobody. Messages of two ranks and one direction are met in
/// the order of the layers, which is the same on all ranks.
///
/// A carry is of shape `[rows, groups · W, Σ C]`, `W` tokens of a halo; a row of it holds one tensor after another, of each
/// all groups, of each its tokens `[W, C]`.
final class RunningHalo {
  private let parts: [ShardRows]
  private let rows, groups, width: Int
  private let columns: [Int]
  private let slot: CarrySlot
  private let pass: SequencePass
  private let category: TimeCategory
  /// The tensors whose last rows leave; nil in the backward pass.
  private var operands: [Operand] = []
  private var incoming: IncomingMessage?
  private var entered: Tensor?
  private var hasSent = false

  /// Plans the exchange.
  ///
  /// - Parameters:
  ///   - width: Tokens of a halo.
  ///   - columns: Numbers a token of each tensor.
  ///   - category: On whose account copying goes.
  init(
    _ subsequences: Subsequences, width: Int, columns: [Int], slot: CarrySlot, pass: SequencePass,
    category: TimeCategory
  ) {
    parts = subsequences.parts
    groups = subsequences.groups
    rows = pass.layout.rows
    (self.width, self.columns) = (width, columns)
    (self.slot, self.pass, self.category) = (slot, pass, category)
  }

  /// Shape of a halo.
  var shape: Shape { [rows, groups * width, columns.reduce(0, +)] }

  /// Where a subsequence's tokens of a tensor begin in a halo.
  func place(_ part: Int, tensor: Int) -> Int {
    let (row, group) = part.quotientAndRemainder(dividingBy: groups)
    let before = columns[..<tensor].reduce(0, +)
    return groups * width * (row * columns.reduce(0, +) + before) + group * width * columns[tensor]
  }

  // MARK: Forward

  /// Posts the receive, and sends on what this shard alone decides.
  ///
  /// - Parameter operands: Each `[R, columns]`; what crosses is fp32.
  func begin(_ operands: [Operand]) throws {
    self.operands = operands
    if group.rank > 0 {
      try post(from: group.rank - 1, .forward)
    } else {
      entered = entering
    }
    if decidesAlone || entered != nil { try sendForward() }
  }

  /// Sends on what leaves, once what enters is there; waits for nothing.
  func advance() throws {
    guard entered == nil, let incoming, try incoming.test() else { return }
    try arrived(incoming)
  }

  /// Waits for the halo; on the last rank also hands on what leaves the sequence.
  func finish() throws -> Halo {
    try advance()
    if entered == nil, let incoming {
      try wait(incoming, from: group.rank - 1, .forward)
      try arrived(incoming)
    }
    guard let entered else { preconditionFailure("no halo was begun") }
    if pass.holdsRight {
      let right = Tensor(shape, pool: workspace.pool)
      workspace.compute(category) { leave(into: right.pointer) }
      pass.right.values[slot] = right
    }
    return Halo(values: entered, known: [])
  }

  /// What came before the sequence; zeros for nothing.
  private var entering: Tensor {
    if let left = pass.left.values[slot] {
      precondition(left.shape == shape, "a carry \(left.shape) of halos \(shape)")
      return left
    }
    let zeros = Tensor(shape, pool: workspace.pool)
    workspace.compute(category) { zeros.clear() }
    return zeros
  }

  private func arrived(_ incoming: IncomingMessage) throws {
    let halo = Tensor(shape, pool: workspace.pool)
    try take(incoming, from: group.rank - 1, .forward) {
      halo.pointer.update(from: $0, count: halo.count)
    }
    entered = halo
    try sendForward()
  }

  private func sendForward() throws {
    guard !hasSent, group.rank + 1 < group.size else { return }
    hasSent = true
    try send(to: group.rank + 1, .forward) { self.leave(into: $0) }
  }

  // MARK: Backward

  /// Posts the receive of the gradients of what left this shard.
  func beginBackward() throws {
    if group.rank + 1 < group.size { try post(from: group.rank + 1, .backward) }
  }

  /// Adds the gradients of what left to those of this shard's rows and of its halo, and sends on the halo's.
  ///
  /// - Parameters:
  ///   - gradients: Of each tensor, `[R, columns]`.
  ///   - halo: Of the shape of a halo: what this shard's rows give it.
  func finishBackward(_ gradients: [Tensor], halo: Tensor) throws {
    // The gradients of what left reach the halo only where some of it passed through.
    if decidesAlone { try sendBackward(halo) }
    if let incoming {
      try wait(incoming, from: group.rank + 1, .backward)
      try take(incoming, from: group.rank + 1, .backward) {
        self.arrive(UnsafePointer($0), gradients, halo)
      }
    } else if let right = pass.right.gradients[slot] {
      workspace.compute(category) { arrive(UnsafePointer(right.pointer), gradients, halo) }
    }
    if !decidesAlone { try sendBackward(halo) }
    if pass.holdsLeftGradients { pass.left.gradients[slot] = halo }
  }

  private func sendBackward(_ halo: Tensor) throws {
    guard group.rank > 0 else { return }
    try send(to: group.rank - 1, .backward) { $0.update(from: halo.pointer, count: halo.count) }
  }

  // MARK: Rows

  /// Where a row that leaves comes from.
  private enum Source {
    /// A row of this shard.
    case own(Int)
    /// A token of the halo.
    case halo(Int)
    /// Its document has not come so far.
    case none
  }

  private func source(_ part: ShardRows, token: Int) -> Source {
    let back = width - token
    if back <= part.ofLastDocument { return .own(part.first + part.count - back) }
    guard part.starts.isEmpty else { return .none }
    return .halo(token + part.count)
  }

  /// Whether nothing of what enters this shard leaves it.
  private var decidesAlone: Bool {
    parts.allSatisfy { !$0.starts.isEmpty || $0.count >= width }
  }

  /// Goes through the tokens that leave.
  private func each(_ body: (_ tensor: Int, _ width: Int, _ at: Int, _ halo: Int, Source) -> Void) {
    for (index, part) in parts.enumerated() {
      for (tensor, columns) in columns.enumerated() {
        let halo = place(index, tensor: tensor)
        for token in 0..<width {
          body(tensor, columns, halo + token * columns, halo, source(part, token: token))
        }
      }
    }
  }

  /// Writes what leaves.
  private func leave(into target: UnsafeMutablePointer<Float>) {
    each { tensor, width, at, halo, source in
      switch source {
      case .own(let row):
        operands[tensor].copy(row * width..<(row + 1) * width, into: target + at)
      case .halo(let token):
        (target + at).update(from: entered!.pointer + halo + token * width, count: width)
      case .none:
        (target + at).update(repeating: 0, count: width)
      }
    }
  }

  /// Adds the gradients of what left.
  private func arrive(
    _ gradients: UnsafePointer<Float>, _ own: [Tensor], _ ofHalo: Tensor
  ) {
    each { tensor, width, at, halo, source in
      let target: UnsafeMutablePointer<Float>
      switch source {
      case .own(let row): target = own[tensor].pointer + row * width
      case .halo(let token): target = ofHalo.pointer + halo + token * width
      case .none: return
      }
      for i in 0..<width { target[i] += gradients[at + i] }
    }
  }

  // MARK: Messages

  private var group: any Communicator { pass.context.sequence }
  private var workspace: Workspace { pass.context.workspace }

  /// Those of halos.
  private func tag(_ direction: ExchangeDirection) -> Int { Int(direction.rawValue) + 2 }

  private var count: Int { MessageHeader.floats + shape.count }

  private func header(_ direction: ExchangeDirection) -> MessageHeader {
    MessageHeader(slot, pass, direction, slice: 0, count: count)
  }

  private func post(from source: Int, _ direction: ExchangeDirection) throws {
    let message = Tensor([count], pool: workspace.pool)
    let request = try group.receive(
      into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * count), from: source,
      tag: tag(direction))
    incoming = IncomingMessage(message: message, request: request)
  }

  private func send(
    to destination: Int, _ direction: ExchangeDirection,
    _ fill: (_ body: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let message = Tensor([count], pool: workspace.pool)
    workspace.compute(category) {
      header(direction).write(to: message.pointer)
      fill(message.pointer + MessageHeader.floats)
    }
    let tag = tag(direction)
    try pass.mark(.send(to: destination, tag: tag), message.pointer, bytes: 4 * count) {
      try pass.context.outbox.send(message, to: destination, tag: tag, through: group)
    }
    workspace.counters.haloBytesSent += 4 * count
  }

  private func wait(
    _ incoming: IncomingMessage, from source: Int, _ direction: ExchangeDirection
  ) throws {
    try workspace.counters.measure(.stateWait) {
      try incoming.wait(
        for: "the \(direction) halos of layer \(slot.layer) from rank \(source)",
        polling: workspace.poll)
    }
  }

  /// Takes what has arrived, if it is what was expected.
  private func take(
    _ incoming: IncomingMessage, from source: Int, _ direction: ExchangeDirection,
    _ use: (_ body: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let message = incoming.message
    try pass.mark(
      .receive(from: source, tag: tag(direction)), message.pointer, bytes: 4 * count
    ) {
      try workspace.compute(category) {
        try header(direction).check(message.pointer, rank: group.rank, source: source)
        use(message.pointer + MessageHeader.floats)
      }
    }
  }
}
