import Tensors

/// All tensors of a carry as one: each behind its slot and extents, which are stored as the bits of floats.
extension [CarrySlot: Tensor] {
  /// Packs them, ordered by layer and kind.
  public func packed(in workspace: Workspace) -> Tensor {
    let slots = keys.sorted { ($0.layer, $0.kind.code) < ($1.layer, $1.kind.code) }
    let count = slots.reduce(0) { $0 + 3 + self[$1]!.shape.rank + self[$1]!.count }
    let packed = Tensor([count], pool: workspace.pool, kind: .states)
    guard !workspace.isRehearsal else { return packed }
    var place = packed.pointer
    for slot in slots {
      let tensor = self[slot]!
      let integers = [slot.layer, slot.kind.code, tensor.shape.rank] + tensor.shape.dimensions
      for integer in integers {
        place.pointee = Float(countBits: integer)
        place += 1
      }
      place.update(from: tensor.pointer, count: tensor.count)
      place += tensor.count
    }
    return packed
  }

  /// Unpacks what `packed` gave.
  public init(packed: Tensor, pool: BufferPool) {
    self = [:]
    var place = packed.pointer
    func integer() -> Int {
      defer { place += 1 }
      return place.pointee.countInBits
    }
    while place < packed.pointer + packed.count {
      let (layer, code, rank) = (integer(), integer(), integer())
      let tensor = Tensor(Shape((0..<rank).map { _ in integer() }), pool: pool, kind: .states)
      tensor.pointer.update(from: place, count: tensor.count)
      place += tensor.count
      self[CarrySlot(layer: layer, .init(code: code))] = tensor
    }
  }
}

extension CarrySlot {
  /// The slot's name in files, such as `layers.3.state.0`.
  public var name: String {
    let kind =
      switch kind {
      case .state(let index): "state.\(index)"
      case .halo(let index): "halo.\(index)"
      case .window: "window"
      case .windowLengths: "window_lengths"
      }
    return "layers.\(layer).\(kind)"
  }

  /// The slot of that name, or nil.
  public init?(name: String) {
    let parts = name.split(separator: ".")
    guard parts.count >= 3, parts[0] == "layers", let layer = Int(parts[1]) else { return nil }
    let index = parts.count == 4 ? Int(parts[3]) : nil
    switch (parts[2], index) {
    case ("state", let index?): self.init(layer: layer, .state(index))
    case ("halo", let index?): self.init(layer: layer, .halo(index))
    case ("window", nil): self.init(layer: layer, .window)
    case ("window_lengths", nil): self.init(layer: layer, .windowLengths)
    default: return nil
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

/// One row of a carry: what one stream of tokens has left behind, wherever its row is computed.
///
/// Concretely, by slot: a state `[heads, K, V]`, a halo or window `[1, tokens, columns]`, a window's length as
/// `[2]` digits to the base 2²⁴, each exact as a float; as one float, `[1]`, in older files.
public struct CarriedRow: Sendable {
  /// A tensor of a row.
  public struct Part: Sendable {
    /// Extents.
    public let shape: [Int]
    /// Its numbers.
    public let numbers: [Float]

    /// Makes a part.
    public init(shape: [Int], numbers: [Float]) {
      (self.shape, self.numbers) = (shape, numbers)
    }
  }

  /// Its tensors.
  public var parts: [CarrySlot: Part]

  /// Makes a row.
  public init(_ parts: [CarrySlot: Part]) { self.parts = parts }
}

extension CarriedRow.Part {
  init(windowLength length: Int) {
    self.init(shape: [2], numbers: [Float(length >> 24), Float(length & 0xFF_FFFF)])
  }

  var windowLength: Int { numbers.reduce(0) { $0 << 24 + Int($1) } }
}

extension [CarrySlot: Tensor] {
  /// What each of `rows` rows has.
  public func rows(_ rows: Int) -> [CarriedRow] {
    (0..<rows).map { row in
      CarriedRow(
        Dictionary<CarrySlot, CarriedRow.Part>(
          uniqueKeysWithValues: map { slot, tensor in
            if slot.kind == .windowLengths {
              return (slot, CarriedRow.Part(windowLength: tensor.pointer[row].countInBits))
            }
            let extents = tensor.shape.dimensions
            let count = tensor.count / rows
            // States have their rows and heads in one extent, everything else has rows alone.
            let shape = [extents[0] / rows] + extents.dropFirst()
            let numbers = UnsafeBufferPointer(start: tensor.pointer + row * count, count: count)
            return (slot, CarriedRow.Part(shape: shape, numbers: Array<Float>(numbers)))
          }))
    }
  }

  /// Puts rows together; windows of fewer tokens than the longest get zeros before them, which nobody sees.
  ///
  /// - Parameter rows: All with the same slots.
  public init(rows: [CarriedRow], pool: BufferPool) {
    self = [:]
    for slot in rows.first.map({ Array<CarrySlot>($0.parts.keys) }) ?? [] {
      let parts = rows.map { $0.parts[slot]! }
      if slot.kind == .windowLengths {
        let lengths = parts.map { Float(countBits: $0.windowLength) }
        self[slot] = Tensor([rows.count], lengths, pool: pool)
        continue
      }
      let most = parts.max { $0.numbers.count < $1.numbers.count }!
      var numbers: [Float] = []
      for part in parts {
        numbers += [Float](repeating: 0, count: most.numbers.count - part.numbers.count)
        numbers += part.numbers
      }
      let shape = Shape([most.shape[0] * rows.count] + most.shape.dropFirst())
      self[slot] = Tensor(shape, numbers, pool: pool)
    }
  }
}
