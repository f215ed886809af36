import Tensors

/// One row of a carry: what one stream of tokens has left behind, wherever its row is computed.
///
/// Concretely, by slot: a state `[heads, K, V]`, a halo or window `[1, tokens, columns]`, a window's length as
/// `[2]` digits to the base 2²⁴, each exact as a float; as one float, `[1]`, in older files.
package struct CarriedRow: Sendable {
  /// A tensor of a row.
  package struct TensorRow: Sendable {
    package let shape: [Int]
    /// Its numbers.
    package let numbers: [Float]

    /// One row of a tensor.
    package init(shape: [Int], numbers: [Float]) {
      (self.shape, self.numbers) = (shape, numbers)
    }
  }

  /// Its tensors.
  package var tensors: [CarrySlot: TensorRow]

  package init(_ tensors: [CarrySlot: TensorRow]) { self.tensors = tensors }
}

extension CarriedRow.TensorRow {
  init(windowLength length: Int) {
    self.init(shape: [2], numbers: [Float(length >> 24), Float(length & 0xFF_FFFF)])
  }

  var windowLength: Int { numbers.reduce(0) { $0 << 24 + Int($1) } }
}

extension [CarrySlot: Tensor] {
  /// What each of `rows` rows has.
  package func rows(_ rows: Int) -> [CarriedRow] {
    (0..<rows).map { row in
      CarriedRow(
        Dictionary<CarrySlot, CarriedRow.TensorRow>(
          uniqueKeysWithValues: map { slot, tensor in
            if slot.content == .windowLengths {
              return (slot, CarriedRow.TensorRow(windowLength: tensor.pointer[row].countInBits))
            }
            let extents = tensor.shape.dimensions
            let count = tensor.count / rows
            // States have their rows and heads in one extent, everything else has rows alone.
            let shape = [extents[0] / rows] + extents.dropFirst()
            let numbers = UnsafeBufferPointer(start: tensor.pointer + row * count, count: count)
            return (slot, CarriedRow.TensorRow(shape: shape, numbers: Array<Float>(numbers)))
          }))
    }
  }

  /// Puts rows together; windows of fewer tokens than the longest get zeros before them, which nobody sees.
  ///
  /// - Parameter rows: All with the same slots.
  package init(rows: [CarriedRow], pool: BufferPool) {
    self = [:]
    for slot in rows.first.map({ Array<CarrySlot>($0.tensors.keys) }) ?? [] {
      let parts = rows.map { $0.tensors[slot]! }
      if slot.content == .windowLengths {
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
