/// What every state message begins with, so that ranks that have lost step with each other find out at once.
struct MessageHeader: Equatable {
  /// Floats that a header fills: one cache line.
  static let floats = 16

  var step: Int32
  var segment: Int32
  var layer: Int32
  var state: Int32
  var direction: Int32
  var slice: Int32
  var count: Int64

  init(_ problem: SeamProblem, slice: Int, count: Int) {
    step = Int32(truncatingIfNeeded: problem.pass.step)
    segment = Int32(problem.pass.segment)
    layer = Int32(problem.slot.layer)
    state = if case .state(let index) = problem.slot.kind { Int32(index) } else { -1 }
    direction = problem.direction.rawValue
    self.slice = Int32(slice)
    self.count = Int64(count)
  }

  /// Reads the header at the start of a message.
  init(reading message: UnsafePointer<Float>) {
    self = UnsafeRawPointer(message).loadUnaligned(as: MessageHeader.self)
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
    return "step \(step), segment \(segment), layer \(layer), state \(state), \(way), "
      + "slice \(slice), \(count) numbers"
  }
}

/// Two ranks of a sequence group are not doing the same thing.
public struct OutOfStepError: Error, CustomStringConvertible {
  /// Who received what instead of what.
  public let description: String

  init(rank: Int, source: Int, expected: MessageHeader, received: MessageHeader) {
    description =
      "sequence rank \(rank) expected {\(expected)} but rank \(source) sent {\(received)}; "
      + "the ranks run different programs, configurations or data"
  }
}
