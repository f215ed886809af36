import MessagePassing
import Tensors

extension Carry {
  /// Brings what left the sequence on its last rank to the first one, where the next part begins.
  ///
  /// Every rank of the group calls it; between windows, segments and steps, never between layers.
  ///
  /// - Parameter right: The seam after the sequence, filled on the last rank.
  /// - Returns: The seam before the next part: filled on the first rank, empty elsewhere.
  public static func close(_ right: Carry, over context: RankContext) throws -> Carry {
    let group = context.sequence
    guard group.size > 1 else {
      let left = Carry()
      left.values = right.values
      return left
    }
    let left = Carry()
    if group.rank == group.size - 1 {
      let message = right.encoded
      var count = message.count
      try withUnsafeBytes(of: &count) { size in
        try group.send(size, to: 0, tag: Self.tag).wait(for: "a carry's size to leave")
      }
      try message.withUnsafeBytes { bytes in
        try group.send(bytes, to: 0, tag: Self.tag).wait(for: "a carry to leave")
      }
    } else if group.rank == 0 {
      let source = group.size - 1
      var count = 0
      try withUnsafeMutableBytes(of: &count) { size in
        try group.receive(into: size, from: source, tag: Self.tag)
          .wait(for: "a carry's size from rank \(source)")
      }
      var message = [Float](repeating: 0, count: count)
      try message.withUnsafeMutableBytes { bytes in
        try group.receive(into: bytes, from: source, tag: Self.tag)
          .wait(for: "a carry from rank \(source)")
      }
      left.decode(message, pool: context.workspace.pool)
    }
    return left
  }

  private static let tag = 8

  /// All values, each behind its slot and extents; integers are stored as the bits of a float.
  private var encoded: [Float] {
    var message: [Float] = []
    let slots = values.keys.sorted { ($0.layer, $0.kind.code) < ($1.layer, $1.kind.code) }
    for slot in slots {
      let tensor = values[slot]!
      let head = [slot.layer, slot.kind.code, tensor.shape.rank] + tensor.shape.dimensions
      message += head.map { Float(bitPattern: UInt32($0)) }
      message += tensor.numbers
    }
    return message
  }

  private func decode(_ message: [Float], pool: BufferPool) {
    var position = 0
    func integer() -> Int {
      defer { position += 1 }
      return Int(message[position].bitPattern)
    }
    while position < message.count {
      let (layer, code, rank) = (integer(), integer(), integer())
      let shape = Shape((0..<rank).map { _ in integer() })
      values[CarrySlot(layer: layer, .init(code: code))] = Tensor(
        shape, Array(message[position..<position + shape.count]), pool: pool)
      position += shape.count
    }
  }
}

extension CarrySlot.Kind {
  /// The kind as a number: two bits for the case, the rest for its index.
  var code: Int {
    switch self {
    case .state(let index): index << 2
    case .halo(let index): index << 2 | 1
    case .window: 2
    case .windowLengths: 3
    }
  }

  init(code: Int) {
    switch code & 3 {
    case 0: self = .state(code >> 2)
    case 1: self = .halo(code >> 2)
    case 2: self = .window
    default: self = .windowLengths
    }
  }
}
