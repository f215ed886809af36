import Measurement
import MessagePassing
import Tensors

/// What an exchange of tokens and their experts sends: messages, their layout and identity.
extension ExpertExchange {
  /// Rows of one member for one expert: they lie together both in its message and among all that came.
  struct Block {
    let member: Int
    /// Where the first of them stands in the message, and among all.
    let first, place: Int
    let count: Int
  }

  /// All that came, in order: by expert, of one expert's rows by member.
  var blocks: [Block] {
    var blocks: [Block] = []
    var firsts = [Int](repeating: 0, count: group.shape.size)
    var place = 0
    let all = counts
    for expert in 0..<experts.count {
      for (member, counts) in all.enumerated() {
        let count = counts[expert]
        blocks.append(Block(member: member, first: firsts[member], place: place, count: count))
        firsts[member] += count
        place += count
      }
    }
    return blocks
  }

  /// What a message begins with.
  func header(_ content: Content, from member: Int, count: Int) -> MessageHeader {
    MessageHeader(ofTokensOf: layer, pass, content.direction, from: member, count: count)
  }

  /// Checks that what came is what this exchange waits for.
  func check(_ message: Tensor, _ content: Content, from member: Int) throws {
    try header(content, from: member, count: message.count).check(
      message.pointer, rank: group.worldRank(of: mine), source: group.worldRank(of: member))
  }

  /// Floats of a message of rows before the first of them: the header, and weights.
  private func floatsBefore(_ rows: Int, _ content: Content) -> Int {
    MessageHeader.floats + (content == .rows ? rows : 0)
  }

  /// Floats of a message of rows.
  func floats(of rows: Int, _ content: Content) -> Int {
    floatsBefore(rows, content) + kind.floats(of: rows * width)
  }

  /// The rows of a message.
  func body(_ message: Tensor, rows: Int, _ content: Content) -> Operand {
    Operand(kind, in: message, from: floatsBefore(rows, content))
  }

  func receive(
    _ message: Tensor, from member: Int, _ content: Content
  ) throws -> IncomingMessage {
    let bytes = UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count)
    return IncomingMessage(
      message: message,
      request: try group.ranks.receive(into: bytes, from: member, tag: content.rawValue))
  }

  func send(_ message: Tensor, to member: Int, _ content: Content) throws {
    try mark(.send, member, content, message) {
      try group.outbox.send(message, to: member, tag: content.rawValue, through: group.ranks)
    }
    if content == .counts {
      workspace.counters.haloBytesSent += 4 * message.count
    } else {
      workspace.counters.expertBytesSent += 4 * message.count
    }
  }

  /// What is done with a message, as a trace calls it.
  enum Deed: String {
    case send, receive
  }

  /// Runs `body` as a span of the trace, if there is one, that sends or takes a message.
  func mark(
    _ deed: Deed, _ member: Int, _ content: Content, _ message: Tensor, _ body: () throws -> Void
  ) rethrows {
    let counters = workspace.counters
    func traced() -> Trace.Message? {
      let (here, there) = (group.worldRank(of: mine), group.worldRank(of: member))
      let ends = deed == .send ? [here, there] : [there, here]
      // Apart from the arrows of other messages, whose first number is a rank.
      let place = [content.rawValue, pass.step, pass.segment, layer]
      let number = counters.trace?.arrow([-1] + ends + place)
      return Trace.Message(
        .tokens(layer: layer), direction: "\(content.direction)", bytes: 4 * message.count,
        arrow: number.map { deed == .send ? .tail($0) : .head($0) })
    }
    try counters.mark(deed.rawValue, traced(), body)
  }
}
