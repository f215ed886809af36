import Measurement
import MessagePassing
import Tensors

/// Brings the last tokens' rows before each shard to it, and their gradients back: for one slot of one pass.
///
/// Forward, rank r receives from the ranks q < r that hold tokens of its halo, and sends to those after it
/// whose halos reach into its shard; what came before the sequence comes from the first rank's `left`
/// carry. Backward, every message goes the other way. All messages are point to point and non-blocking.
///
/// Nothing can deadlock: in each direction a rank posts its receives, then its sends, whose contents it has,
/// and only then waits, and only for receives: forward for ranks before it, backward for ranks after it. So
/// the first rank (backward: the last) waits for nobody, and by induction no wait lasts for ever. Messages of
/// two ranks and one direction are met in the order of the layers, which is the same on all ranks.
final class HaloExchange {
  private let plan: HaloPlan
  private let slot: CarrySlot
  private let pass: SequencePass
  private let columns: [Int]
  private let keeps: Int
  private let terrace: Int?
  private let category: TimeCategory
  private var inbox: [(transfer: HaloPlan.Transfer, incoming: IncomingMessage)] = []
  private var receipt: (operands: [Operand], halo: Tensor)?

  /// Plans the exchange.
  ///
  /// - Parameters:
  ///   - width: Tokens of a halo.
  ///   - columns: Numbers a token of each tensor; a halo has them side by side.
  ///   - carried: The most tokens that may have come before the sequence.
  ///   - keeps: The most tokens that go on to `pass.right`; the width of a halo where nil.
  ///   - terrace: Of windows that go on in terraces, the tokens of one: what goes on to `pass.right` then begins with
  ///     the terrace before the last token's, and every rank is told how much came before the sequence.
  ///   - category: On whose account copying goes.
  init(
    width: Int, columns: [Int], carried: Int, keeps: Int? = nil, terrace: Int? = nil,
    slot: CarrySlot, pass: SequencePass, category: TimeCategory
  ) {
    plan = HaloPlan(
      layout: pass.layout, width: width, carried: carried, keepsRight: pass.keepsRight,
      announces: terrace != nil && carried > 0)
    self.terrace = terrace
    (self.slot, self.pass, self.columns, self.category) = (slot, pass, columns, category)
    self.keeps = keeps ?? width
  }

  private var layout: SequenceLayout { plan.layout }
  private var workspace: Workspace { pass.context.workspace }
  private var total: Int { columns.reduce(0, +) }
  private var own: Range<Int> { plan.halo(of: layout.rank) }
  private var haloShape: Shape { [layout.rows, own.count, total] }

  // MARK: Forward

  /// Posts the receives of this rank's halo and sends what other ranks need of these tensors.
  ///
  /// - Parameter operands: Each `[rows × length, columns]`; what crosses is fp32.
  func begin(_ operands: [Operand]) throws {
    try post(plan.sources, .forward)
    receipt = (operands, Tensor(haloShape, pool: workspace.pool))
    for transfer in plan.destinations {
      try send(transfer, .forward) { message in
        let lengths = self.leftLengths
        for row in 0..<self.layout.rows {
          message[row] = Float(countBits: lengths[row])
          self.copy(
            transfer.tokens, row: row, of: operands, lengths,
            into: self.place(message, transfer, row))
        }
      }
    }
  }

  /// Waits for the halo; on the last rank also hands the sequence's last tokens to `pass.right`.
  func finish() throws -> Halo {
    guard let (operands, values) = receipt else { preconditionFailure("no halo was begun") }
    let rows = layout.rows
    var lengths = layout.rank == 0 ? leftLengths : [Int](repeating: plan.carried, count: rows)
    try wait(.forward)
    try workspace.compute(category) {
      if layout.rank == 0 {
        for row in 0..<rows {
          copy(
            own, row: row, of: operands, lengths,
            into: values.pointer + row * own.count * total)
        }
      }
      for (transfer, incoming) in inbox {
        try take(incoming, transfer, .forward) { message in
          for row in 0..<rows {
            if transfer.rank == 0 { lengths[row] = message[row].countInBits }
            let target = row * own.count + transfer.tokens.lowerBound - own.lowerBound
            (values.pointer + target * total).update(
              from: place(message, transfer, row), count: transfer.tokens.count * total)
          }
        }
      }
    }
    inbox = []
    receipt = nil
    let halo = Halo(
      values: values, known: lengths.map { min(own.count, max(own.upperBound, 0) + $0) },
      before: lengths)
    if pass.holdsRight {
      keepRight(halo, operands)
    }
    return halo
  }

  // MARK: Backward

  /// Posts the receives of the gradients that other ranks' halos have for this rank's tokens.
  func beginBackward() throws {
    try post(plan.destinations.filter { !$0.tokens.isEmpty }, .backward)
  }

  /// Adds what `pass.right` has as gradients of the sequence's last tokens, on the last rank.
  func addRight(to gradients: [Tensor], halo: Tensor) {
    guard let right = pass.right.gradients[slot] else { return }
    let tokens = right.shape[1]
    let first = layout.total - tokens
    workspace.compute(category) {
      for row in 0..<layout.rows {
        let from = max(first, layout.lastDocumentStart(row: row), own.lowerBound)
        for position in from..<max(from, layout.total) {
          add(
            UnsafePointer(right.pointer + (row * tokens + position - first) * total), row: row,
            position: position, to: gradients, halo: halo)
        }
      }
    }
  }

  /// Sends the gradients of this rank's halo to the ranks that hold its tokens.
  ///
  /// - Parameter halo: Shape `[rows, tokens, columns]`, of the shape of the halo's values.
  func send(_ halo: Tensor) throws {
    for transfer in plan.sources where !transfer.tokens.isEmpty {
      try send(transfer, .backward) { message in
        for row in 0..<self.layout.rows {
          let source = row * self.own.count + transfer.tokens.lowerBound - self.own.lowerBound
          self.place(message, transfer, row).update(
            from: halo.pointer + source * self.total, count: transfer.tokens.count * self.total)
        }
      }
    }
  }

  /// Waits for other ranks' gradients and adds them to this rank's, in rank order; on the first rank, those of
  /// what came before the sequence go to `pass.left`.
  func finishBackward(_ gradients: [Tensor], halo: Tensor) throws {
    try wait(.backward)
    let before: Tensor? =
      pass.holdsLeftGradients && plan.carried > 0
      ? Tensor([layout.rows, plan.carried, total], pool: workspace.pool) : nil
    try workspace.compute(category) {
      if let before {
        before.clear()
        for row in 0..<layout.rows {
          let target = row * plan.carried + own.lowerBound + plan.carried
          (before.pointer + target * total).update(
            from: halo.pointer + row * own.count * total, count: own.count * total)
        }
      }
      for (transfer, incoming) in inbox {
        try take(incoming, transfer, .backward) { message in
          for row in 0..<layout.rows {
            for (index, position) in transfer.tokens.enumerated() {
              let source = UnsafePointer(place(message, transfer, row) + index * total)
              if position >= 0 {
                add(source, row: row, position: position, to: gradients, halo: halo)
              } else if let before {
                let sum = before.pointer + (row * plan.carried + position + plan.carried) * total
                for column in 0..<total { sum[column] += source[column] }
              }
            }
          }
        }
      }
    }
    inbox = []
    if let before { pass.left.gradients[slot] = before }
  }

  // MARK: Messages

  private var group: any Communicator { pass.context.sequence }

  /// Tags apart from those of states: 3 forward, 4 backward.
  private func tag(_ direction: ExchangeDirection) -> Int { Int(direction.rawValue) + 2 }

  /// Floats of a message: the header, for each row how much came before the sequence, and the tokens.
  private func count(_ transfer: HaloPlan.Transfer) -> Int {
    MessageHeader.floats + layout.rows * (1 + transfer.tokens.count * total)
  }

  private func place(
    _ body: UnsafeMutablePointer<Float>, _ transfer: HaloPlan.Transfer, _ row: Int
  ) -> UnsafeMutablePointer<Float> {
    body + layout.rows + row * transfer.tokens.count * total
  }

  private func header(_ transfer: HaloPlan.Transfer, _ direction: ExchangeDirection)
    -> MessageHeader
  {
    MessageHeader(slot, pass, direction, slice: transfer.tokens.lowerBound, count: count(transfer))
  }

  private func post(_ transfers: [HaloPlan.Transfer], _ direction: ExchangeDirection) throws {
    for transfer in transfers {
      let message = Tensor([count(transfer)], pool: workspace.pool)
      let request = try group.receive(
        into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count),
        from: transfer.rank, tag: tag(direction))
      inbox.append((transfer, IncomingMessage(message: message, request: request)))
    }
  }

  private func send(
    _ transfer: HaloPlan.Transfer, _ direction: ExchangeDirection,
    _ fill: (_ body: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let message = Tensor([count(transfer)], pool: workspace.pool)
    workspace.compute(category) {
      header(transfer, direction).write(to: message.pointer)
      fill(message.pointer + MessageHeader.floats)
    }
    let tag = tag(direction)
    try pass.mark(
      .send(to: transfer.rank, tag: tag), message.pointer, bytes: 4 * message.count
    ) {
      try pass.context.outbox.send(message, to: transfer.rank, tag: tag, through: group)
    }
    workspace.counters.haloBytesSent += 4 * message.count
  }

  private func wait(_ direction: ExchangeDirection) throws {
    try workspace.counters.measure(.stateWait) {
      for (transfer, incoming) in inbox {
        try incoming.wait(
          for: "the \(direction) halo of layer \(slot.layer) from rank \(transfer.rank)",
          polling: workspace.poll)
      }
    }
  }

  /// Takes what has arrived, if it is what was expected.
  private func take(
    _ incoming: IncomingMessage, _ transfer: HaloPlan.Transfer, _ direction: ExchangeDirection,
    _ use: (_ body: UnsafeMutablePointer<Float>) -> Void
  ) throws {
    let message = incoming.message
    try pass.mark(
      .receive(from: transfer.rank, tag: tag(direction)), message.pointer, bytes: 4 * message.count
    ) {
      try header(transfer, direction).check(
        message.pointer, rank: layout.rank, source: transfer.rank)
      use(message.pointer + MessageHeader.floats)
    }
  }

  // MARK: Rows

  /// How many tokens came before the sequence in each row; the first rank knows.
  private var leftLengths: [Int] {
    pass.leftLengths(slot, columns: total, atMost: plan.carried)
  }

  /// Copies a row's tokens, those before the sequence from the left carry, or zeros where there are none.
  private func copy(
    _ tokens: Range<Int>, row: Int, of operands: [Operand], _ lengths: [Int],
    into target: UnsafeMutablePointer<Float>
  ) {
    let (left, first) = (pass.left.values[slot], layout.shard.lowerBound)
    for (index, position) in tokens.enumerated() {
      let target = target + index * total
      if position < 0 {
        if let left, -position <= lengths[row] {
          let token = (row + 1) * left.shape[1] + position
          target.update(from: left.pointer + token * total, count: total)
        } else {
          target.update(repeating: 0, count: total)
        }
        continue
      }
      var place = 0
      for (operand, width) in zip(operands, columns) {
        let token = row * layout.length + position - first
        operand.copy(token * width..<(token + 1) * width, into: target + place)
        place += width
      }
    }
  }

  /// Adds a token's gradients where it lies: in the shard, or in the halo.
  private func add(
    _ source: UnsafePointer<Float>, row: Int, position: Int, to gradients: [Tensor], halo: Tensor
  ) {
    let token = position - layout.shard.lowerBound
    if token < 0 {
      let sum = halo.pointer + (row * own.count + position - own.lowerBound) * total
      for column in 0..<total { sum[column] += source[column] }
      return
    }
    var place = 0
    for (tensor, width) in zip(gradients, columns) {
      let sum = tensor.pointer + (row * layout.length + token) * width
      for column in 0..<width { sum[column] += source[place + column] }
      place += width
    }
  }

  /// Hands the last tokens of the halo and the shard to `pass.right`; what belongs to documents that have
  /// ended is zero, and not counted.
  private func keepRight(_ halo: Halo, _ operands: [Operand]) {
    let (rows, end) = (layout.rows, layout.total)
    let lengths = (0..<rows).map { row in
      if let terrace {
        let start = layout.documentStarts[row].last ?? -halo.before[row]
        return AttentionSpan.terraced(terrace).seen(after: end - start)
      }
      return min(
        keeps, halo.known[row] + layout.length,
        end - max(layout.lastDocumentStart(row: row), -plan.carried - end))
    }
    let tokens = slot.content == .window ? lengths.max() ?? 0 : keeps
    let right = Tensor([rows, tokens, total], pool: workspace.pool)
    workspace.compute(category) {
      right.clear()
      for row in 0..<rows {
        for position in end - lengths[row]..<end {
          let target = right.pointer + (row * tokens + position - (end - tokens)) * total
          let token = position - own.lowerBound
          if token < own.count {
            target.update(from: halo.pointer(row: row, token: token), count: total)
          } else {
            copy(position..<position + 1, row: row, of: operands, [], into: target)
          }
        }
      }
    }
    pass.right.values[slot] = right
    if slot.content == .window { pass.setRightLengths(lengths, layer: slot.layer) }
  }
}
