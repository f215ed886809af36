import Measurement
import MessagePassing
import Tensors

/// How the ring of a sequence group closes: what leaves on the last rank enters on the first.
extension SequencePass {
  /// Brings what left the sequence on its last rank to the first one, where the next part begins.
  ///
  /// Every rank of the group calls it; between windows, segments and steps, never between layers. Nobody but
  /// the first rank waits, and it for the last rank alone, which waits for nobody.
  ///
  /// - Returns: The seam before the next part: filled on the first rank, empty elsewhere. `right` is empty then.
  package func close() throws -> Carry {
    let left = Carry()
    left.values = try ring(right.values, .forward)
    right.values = [:]
    return left
  }

  /// Brings the gradients of what entered the next part on the first rank to the last one, where it left
  /// this part.
  ///
  /// - Parameter next: The part that began with what `close` gave.
  package func closeBackward(from next: SequencePass) throws {
    right.gradients = try ring(next.left.gradients, .backward)
  }

  /// Sends tensors from one end of the group to the other.
  private func ring(
    _ tensors: [CarrySlot: Tensor], _ direction: ExchangeDirection
  ) throws -> [CarrySlot: Tensor] {
    let group = context.sequence
    guard group.size > 1 else { return tensors }
    let ends = (first: 0, last: group.size - 1)
    let (from, to) =
      direction == .forward ? (ends.last, ends.first) : (ends.first, ends.last)
    if group.rank == from { try send(CarryMessage(tensors, self, direction), to: to) }
    guard group.rank == to else { return [:] }
    // A rehearsed rank made for itself what the other end would send.
    guard group.delivers else { return tensors }
    return try receive(direction, from: from)
  }

  private func send(_ message: CarryMessage, to destination: Int) throws {
    try mark(
      .send(to: destination, tag: CarryMessage.tag), message.head.pointer, bytes: message.bytes
    ) {
      for tensor in [message.head, message.body] {
        try context.outbox.send(
          tensor, to: destination, tag: CarryMessage.tag, through: context.sequence)
      }
    }
    context.counters.stateBytesSent += message.stateBytes
    context.counters.haloBytesSent += message.bytes - message.stateBytes
  }

  private func receive(
    _ direction: ExchangeDirection, from source: Int
  ) throws -> [CarrySlot: Tensor] {
    let workspace = context.workspace
    func receive(_ tensor: Tensor) throws {
      try workspace.counters.measure(.stateWait) {
        try context.sequence.receive(
          into: UnsafeMutableRawBufferPointer(start: tensor.pointer, count: 4 * tensor.count),
          from: source, tag: CarryMessage.tag
        ).wait(for: "the \(direction) carry from rank \(source)", polling: workspace.poll)
      }
    }
    let head = Tensor([MessageHeader.floats], pool: workspace.pool, kind: .states)
    try receive(head)
    let count = MessageHeader(reading: head.pointer).count
    try MessageHeader(CarryMessage.slot, self, direction, slice: 0, count: Int(count))
      .check(head.pointer, rank: context.sequence.rank, source: source)
    let body = Tensor([Int(count)], pool: workspace.pool, kind: .states)
    try receive(body)
    return mark(
      .receive(from: source, tag: CarryMessage.tag), head.pointer,
      bytes: 4 * (head.count + body.count)
    ) {
      [CarrySlot: Tensor](packed: body, pool: workspace.pool)
    }
  }
}

/// All tensors that cross a seam as one message, behind a header that names the part they leave.
private struct CarryMessage {
  static let tag = 8
  /// What the header names: no layer.
  static let slot = CarrySlot(layer: -1, .state(0))

  let head: Tensor
  let body: Tensor
  /// Bytes of both.
  var bytes: Int { 4 * (head.count + body.count) }
  /// Bytes of the states of recurrences among it.
  let stateBytes: Int

  init(_ tensors: [CarrySlot: Tensor], _ pass: SequencePass, _ direction: ExchangeDirection) {
    let workspace = pass.context.workspace
    head = Tensor([MessageHeader.floats], pool: workspace.pool, kind: .states)
    body = tensors.packed(in: workspace)
    stateBytes = tensors.reduce(0) {
      if case .state = $1.key.content { $0 + 4 * $1.value.count } else { $0 }
    }
    workspace.run {
      MessageHeader(Self.slot, pass, direction, slice: 0, count: body.count).write(to: head.pointer)
    }
  }
}
