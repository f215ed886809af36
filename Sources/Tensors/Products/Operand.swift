/// Rows of activations or gradients as products read them: fp32 as ops have them, or bf16.
package struct Operand: Sendable {
  /// What its numbers are.
  package enum Kind: Sendable {
    /// fp32.
    case float
    /// bf16, a half of a place of the buffer each.
    case bfloat16
  }

  /// What its numbers are.
  package let kind: Kind
  /// Where they lie.
  package let buffer: Buffer
  /// Index of the first of them, counted in numbers of its kind.
  package let offset: Int

  /// A tensor's own numbers.
  package init(_ tensor: Tensor) {
    (kind, buffer, offset) = (.float, tensor.buffer, tensor.offset)
  }

  /// Uninitialised room for bf16 numbers.
  package init(bfloat16 count: Int, pool: BufferPool, kind: BufferKind = .activations) {
    self.kind = .bfloat16
    buffer = Buffer(count: (count + 1) / 2, pool: pool, kind: kind)
    offset = 0
  }

  private init(_ kind: Kind, _ buffer: Buffer, offset: Int) {
    (self.kind, self.buffer, self.offset) = (kind, buffer, offset)
  }

  /// Its numbers from one on.
  package func from(_ first: Int) -> Operand { Operand(kind, buffer, offset: offset + first) }

  /// The numbers of an operand of fp32.
  package var floats: UnsafeMutablePointer<Float> {
    precondition(kind == .float, "an operand of bf16 read as fp32")
    return buffer.pointer + offset
  }

  /// The numbers of an operand of bf16.
  package var halves: UnsafeMutablePointer<UInt16> {
    precondition(kind == .bfloat16, "an operand of fp32 read as bf16")
    return UnsafeMutableRawPointer(buffer.pointer).assumingMemoryBound(to: UInt16.self) + offset
  }

  /// The first number.
  var first: UnsafeRawPointer {
    switch kind {
    case .float: UnsafeRawPointer(floats)
    case .bfloat16: UnsafeRawPointer(halves)
    }
  }
}

extension Workspace {
  /// A tensor's numbers as products read them: its own, or rounded ones in memory of their own.
  ///
  /// It may take memory, and is called outside `compute`.
  package func operand(of tensor: Tensor, kind: BufferKind = .activations) -> Operand {
    guard products.operands == .bfloat16 else { return Operand(tensor) }
    let operand = Operand(bfloat16: tensor.count, pool: pool, kind: kind)
    compute(.projections) { round(tensor.pointer, into: operand, count: tensor.count) }
    return operand
  }

  /// Room for a tile's numbers as products read them: the tile itself, or memory for rounded ones.
  package func operandRoom(of tile: Tensor, kind: BufferKind = .buffers) -> Operand {
    products.operands == .bfloat16
      ? Operand(bfloat16: tile.count, pool: pool, kind: kind) : Operand(tile)
  }

  /// Rounds the first numbers of a tile into its room, where that is not the tile itself.
  package func round(_ numbers: UnsafePointer<Float>, into room: Operand, count: Int) {
    guard room.kind == .bfloat16 else { return }
    // Each thread writes a part of its own.
    nonisolated(unsafe) let (x, y) = (numbers, room.halves)
    team.parallel(count, grain: 1 << 15) {
      BFloat16.round(x + $0.lowerBound, into: y + $0.lowerBound, count: $0.count)
    }
  }
}
