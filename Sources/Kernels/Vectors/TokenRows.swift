import Tensors

/// Rows of numbers, one per token: row `t` begins at `base + t · stride`.
///
/// Unchecked: threads only read what it points to, which its caller keeps alive.
package struct TokenRows: @unchecked Sendable {
  /// Row 0.
  package let base: UnsafePointer<Float>
  /// Numbers from one token to the next.
  package let stride: Int
  /// What they are: bf16 may be queries, keys and values, which kernels widen as they read.
  let kind: Operand.Kind

  /// Rows that begin at `base`, `stride` floats apart.
  package init(_ base: UnsafePointer<Float>, stride: Int) {
    self.base = base
    self.stride = stride
    kind = .float
  }

  /// Rows of bf16 numbers, `stride` numbers apart.
  package init(_ base: UnsafePointer<UInt16>, stride: Int) {
    self.base = UnsafeRawPointer(base).assumingMemoryBound(to: Float.self)
    self.stride = stride
    kind = .bfloat16
  }

  /// Rows of an operand as it is stored, `stride` numbers apart.
  package init(_ operand: Operand, stride: Int) {
    self =
      operand.kind == .float
      ? TokenRows(operand.floats, stride: stride) : TokenRows(operand.halves, stride: stride)
  }

  /// Row 0, of bf16 numbers.
  var halves: UnsafePointer<UInt16> {
    UnsafeRawPointer(base).assumingMemoryBound(to: UInt16.self)
  }

  /// The row of a token of the shard, of bf16 numbers.
  func halves(_ token: Int) -> UnsafePointer<UInt16> { halves + token * stride }

  /// The row of a token of the shard.
  @inlinable package subscript(token: Int) -> UnsafePointer<Float> { base + token * stride }
}

/// Rows of floats, one per token, that a kernel writes.
///
/// Unchecked: each thread writes rows or columns of its own, which its caller keeps alive.
package struct MutableTokenRows: @unchecked Sendable {
  /// Row 0.
  package let base: UnsafeMutablePointer<Float>
  /// Floats from one token to the next.
  package let stride: Int
  /// Whether the first write adds to what is there instead of replacing it: a gradient that heads
  /// share.
  ///
  /// Such heads must run one after another.
  package let accumulates: Bool

  /// Rows that begin at `base`, `stride` floats apart.
  package init(_ base: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool = false) {
    self.base = base
    self.stride = stride
    self.accumulates = accumulates
  }

  /// The row of a token of the shard.
  @inlinable package subscript(token: Int) -> UnsafeMutablePointer<Float> { base + token * stride }
}
