/// Who reads what an op gives: where they allow it, it is stored as products read it.
package enum Readers: Sendable {
  /// Any op.
  case any
  /// Products, and pointwise functions, which compute in fp32 whatever they read.
  case products
}

/// Rows of activations or gradients as they are stored: fp32, or bf16 as products may read them.
package struct Operand: Sendable {
  /// What its numbers are.
  package enum Kind: Sendable {
    /// fp32.
    case float
    /// bf16, a half of a place of the buffer each.
    case bfloat16

    /// What users call it.
    package var name: String { self == .float ? "fp32" : "bf16" }

    /// Bytes of a number.
    package var bytes: Int { self == .float ? 4 : 2 }

    /// Places of a buffer that so many numbers take.
    package func floats(of count: Int) -> Int { (count * bytes + 3) / 4 }
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
    buffer = Buffer(count: Kind.bfloat16.floats(of: count), pool: pool, kind: kind)
    offset = 0
  }

  /// Numbers of a kind in a tensor's memory, from one of its floats on.
  package init(_ kind: Kind, in tensor: Tensor, from float: Int) {
    self.init(kind, tensor.buffer, offset: (tensor.offset + float) * 4 / kind.bytes)
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

  /// An operand of fp32 as a tensor, which shares its numbers.
  package func tensor(_ shape: Shape) -> Tensor {
    precondition(kind == .float, "an operand of bf16 \(shape) read as fp32")
    return Tensor(shape, buffer: buffer, offset: offset)
  }

  /// The numbers of an operand of bf16.
  package var halves: UnsafeMutablePointer<UInt16> {
    precondition(kind == .bfloat16, "an operand of fp32 read as bf16")
    return UnsafeMutableRawPointer(buffer.pointer).assumingMemoryBound(to: UInt16.self) + offset
  }

  /// Bytes of as many of its numbers as a shape has.
  package func bytes(_ shape: Shape) -> Int { kind.bytes * shape.count }

  /// Takes the first numbers of another operand of its kind.
  package func update(from other: Operand, count: Int) {
    switch kind {
    case .float: floats.update(from: other.floats, count: count)
    case .bfloat16: halves.update(from: other.halves, count: count)
    }
  }

  /// A part's numbers in fp32: where they lie, or widened into a block.
  package func read(
    _ part: Range<Int>, _ block: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    guard kind == .bfloat16 else { return UnsafePointer(floats + part.lowerBound) }
    BFloat16.widen(halves + part.lowerBound, into: block, count: part.count)
    return UnsafePointer(block)
  }

  /// Copies a part's numbers in fp32.
  package func copy(_ part: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    switch kind {
    case .float: target.update(from: floats + part.lowerBound, count: part.count)
    case .bfloat16: BFloat16.widen(halves + part.lowerBound, into: target, count: part.count)
    }
  }

  /// Where fp32 numbers of a part are written: where they are to lie, or a block that `finish` rounds.
  package func room(
    _ part: Range<Int>, _ block: UnsafeMutablePointer<Float>
  ) -> UnsafeMutablePointer<Float> { kind == .float ? floats + part.lowerBound : block }

  /// Rounds a part that has been written, where it was to a block.
  package func finish(_ part: Range<Int>, _ block: UnsafeMutablePointer<Float>) {
    guard kind == .bfloat16 else { return }
    BFloat16.round(block, into: halves + part.lowerBound, count: part.count)
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
  /// Room for what an op gives, as its readers let it be stored; it takes memory.
  package func room(for shape: Shape, readers: Readers) -> Operand {
    readers == .products && products.operands == .bfloat16
      ? Operand(bfloat16: shape.count, pool: pool) : Operand(Tensor(shape, pool: pool))
  }

  /// The numbers of an operand in fp32: its own, or widened ones in memory of their own.
  package func tensor(of operand: Operand, _ shape: Shape) -> Tensor {
    guard operand.kind == .bfloat16 else { return operand.tensor(shape) }
    let tensor = Tensor(shape, pool: pool)
    compute(.other) {
      // Each thread writes a part of its own.
      nonisolated(unsafe) let (x, y) = (operand.halves, tensor.pointer)
      team.parallel(shape.count, grain: 1 << 15) {
        BFloat16.widen(x + $0.lowerBound, into: y + $0.lowerBound, count: $0.count)
      }
    }
    return tensor
  }

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
