import Measurement

/// One end of a message between ranks of a sequence group.
enum MessageEnd {
  /// Its posting, for one rank, or for all where it is nil.
  case send(to: Int?, tag: Int)
  /// The taking of what has arrived, from one rank, or from all where it is nil.
  case receive(from: Int?, tag: Int)

  fileprivate var name: String {
    switch self {
    case .send: "send"
    case .receive: "receive"
    }
  }
}

extension SequencePass {
  /// Runs `body` as a span of the trace, if there is one, that sends or takes a message.
  ///
  /// - Parameters:
  ///   - message: Where the message begins, with its header.
  ///   - bytes: Bytes of the message, header included.
  func mark<Result>(
    _ end: MessageEnd, _ message: UnsafePointer<Float>, bytes: Int, _ body: () throws -> Result
  ) rethrows -> Result {
    try context.counters.mark(
      end.name, traced(MessageHeader(reading: message), end, bytes: bytes), body)
  }

  private func traced(_ header: MessageHeader, _ end: MessageEnd, bytes: Int) -> Trace.Message? {
    Trace.Message(
      header.content,
      direction: header.direction == ExchangeDirection.forward.rawValue ? "forward" : "backward",
      bytes: bytes, arrow: arrow(header, end))
  }

  /// A message's arrow, if it goes from one rank to one other.
  private func arrow(_ header: MessageHeader, _ end: MessageEnd) -> Trace.Arrow? {
    let group = context.sequence
    func number(from source: Int, to destination: Int, tag: Int) -> Int? {
      // Ranks of a group are neighbours in the world: its first one names it.
      let place = [group.watch.worldRank - group.rank, source, destination, tag]
      return context.counters.trace?.arrow(place + header.identity)
    }
    switch end {
    case .send(let destination?, let tag):
      return number(from: group.rank, to: destination, tag: tag).map { .tail($0) }
    case .receive(let source?, let tag):
      return number(from: source, to: group.rank, tag: tag).map { .head($0) }
    case .send, .receive:
      return nil
    }
  }
}

extension MessageHeader {
  fileprivate var identity: [Int] {
    [Int(step), Int(segment), Int(layer), Int(kind), Int(direction), Int(slice)]
  }

  /// What the message carries.
  fileprivate var content: Trace.Message.Content {
    let layer = Int(layer)
    guard layer >= 0 else { return .carry(segment: Int(segment)) }
    switch CarrySlot.Content(code: Int(kind)) {
    case .state: return .states(layer: layer)
    case .halo: return .halo(layer: layer)
    case .window, .windowLengths: return .keys(layer: layer)
    }
  }
}
