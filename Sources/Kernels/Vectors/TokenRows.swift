/// Rows of floats, one per token: row `t` begins at `base + t · stride`.
///
/// Unchecked: threads only read what it points to, which its caller keeps alive.
public struct TokenRows: @unchecked Sendable {
  /// Row 0.
  public let base: UnsafePointer<Float>
  /// Floats from one token to the next.
  public let stride: Int

  /// Rows that begin at `base`, `stride` floats apart.
  public init(_ base: UnsafePointer<Float>, stride: Int) {
    self.base = base
    self.stride = stride
  }

  /// The row of a token of the shard.
  @inlinable public subscript(token: Int) -> UnsafePointer<Float> { base + token * stride }
}

/// Rows of floats, one per token, that a kernel writes.
///
/// Unchecked: each thread writes rows or columns of its own, which its caller keeps alive.
public struct MutableTokenRows: @unchecked Sendable {
  /// Row 0.
  public let base: UnsafeMutablePointer<Float>
  /// Floats from one token to the next.
  public let stride: Int
  /// Whether the first write adds to what is there instead of replacing it: a gradient that heads
  /// share.
  ///
  /// Such heads must run one after another.
  public let accumulates: Bool

  /// Rows that begin at `base`, `stride` floats apart.
  public init(_ base: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool = false) {
    self.base = base
    self.stride = stride
    self.accumulates = accumulates
  }

  /// The row of a token of the shard.
  @inlinable public subscript(token: Int) -> UnsafeMutablePointer<Float> { base + token * stride }
}
