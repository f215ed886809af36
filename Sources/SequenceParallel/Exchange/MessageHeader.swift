/// What every message of a layer begins with, so that ranks that have lost step find out at once.
struct MessageHeader: Equatable {
  /// Floats that a header fills: one cache line.
  static let floats = 16

  var step: Int32
  var segment: Int32
  var layer: Int32
  var kind: Int32
  var direction: Int32
  var slice: Int32
  var count: Int64

  init(
    _ slot: CarrySlot, _ pass: SequencePass, _ direction: ExchangeDirection, slice: Int, count: Int
  ) {
    step = Int32(truncatingIfNeeded: pass.step)
    segment = Int32(pass.segment)
    layer = Int32(slot.layer)
    kind = Int32(slot.content.code)
    self.direction = direction.rawValue
    self.slice = Int32(slice)
    self.count = Int64(count)
  }

  /// Of tokens of a layer on their way to experts.
  init(
    ofTokensOf layer: Int, _ pass: SequencePass, _ direction: ExchangeDirection, from member: Int,
    count: Int
  ) {
    self.init(
      CarrySlot(layer: layer, .state(0)), pass, direction, slice: member, count: count)
    kind = Self.tokens
  }

  /// The kind of a message of tokens, which cross no seam.
  private static let tokens: Int32 = -1

  init(_ problem: SeamProblem, slice: Int, count: Int) {
    self.init(problem.slot, problem.pass, problem.direction, slice: slice, count: count)
  }

  /// Reads the header at the start of a message.
  init(reading message: UnsafePointer<Float>) {
    self = UnsafeRawPointer(message).loadUnaligned(as: MessageHeader.self)
  }

  /// Reads the header of a message from `source`, which must be this one.
  func check(_ message: UnsafePointer<Float>, rank: Int, source: Int) throws(OutOfStepError) {
    let received = MessageHeader(reading: message)
    guard received == self else {
      throw OutOfStepError(rank: rank, source: source, expected: self, received: received)
    }
  }

  /// Writes the header at the start of a message.
  func write(to message: UnsafeMutablePointer<Float>) {
    message.update(repeating: 0, count: MessageHeader.floats)
    UnsafeMutableRawPointer(message).storeBytes(of: self, as: MessageHeader.self)
  }
}

extension MessageHeader: CustomStringConvertible {
  var description: String {
    let way = direction == ExchangeDirection.forward.rawValue ? "forward" : "backward"
    guard kind != Self.tokens else {
      return "step \(step), segment \(segment), layer \(layer), tokens for experts, \(way), "
        + "from the group's rank \(slice), \(count) numbers"
    }
    let what =
      switch CarrySlot.Content(code: Int(kind)) {
      case .state(let index): "state \(index)"
      case .halo(let index): "halo \(index)"
      case .window: "window"
      case .windowLengths: "window lengths"
      }
    let place = layer < 0 ? "a carry" : "layer \(layer), \(what)"
    return "step \(step), segment \(segment), \(place), \(way), "
      + "slice \(slice), \(count) numbers"
  }
}

/// Two ranks of a sequence group are not doing the same thing.
package struct OutOfStepError: Error, CustomStringConvertible {
  /// Who received what instead of what.
  package let description: String

  init(rank: Int, source: Int, expected: MessageHeader, received: MessageHeader) {
    description =
      "sequence rank \(rank) expected {\(expected)} but rank \(source) sent {\(received)}; "
      + "the ranks run different programs, configurations or data"
  }
}
