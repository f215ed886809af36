/// Rows of floats, one per token: row `t` begins at `base + t · stride`.
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

/// What one (row, head) of a recurrence reads.
public struct RecurrenceHead: Sendable {
  /// Queries, keys (`K` floats a token) and values (`V` floats a token).
  public var q, k, v: TokenRows
  /// Log decay from data, ≤ 0, in nats: 1 or `K` floats a token.
  ///
  /// Values below −80 count as −80.
  public var g: TokenRows?
  /// The delta rule's step: 1 float a token.
  public var beta: TokenRows?
  /// Log decay of a kind whose decay is fixed, ≤ 0, in nats; clamped alike.
  public var logDecay: Float

  /// The views of one (row, head); leave out what the kind does not read.
  public init(
    q: TokenRows, k: TokenRows, v: TokenRows, g: TokenRows? = nil, beta: TokenRows? = nil,
    logDecay: Float = 0
  ) {
    (self.q, self.k, self.v) = (q, k, v)
    (self.g, self.beta, self.logDecay) = (g, beta, logDecay)
  }
}

/// What one (row, head) of a recurrence's backward pass reads and writes beside its `RecurrenceHead`.
public struct RecurrenceGradient: Sendable {
  /// Gradient of the output, `V` floats a token.
  public var dO: TokenRows
  /// Gradients of queries, keys and values, written.
  public var dq, dk, dv: MutableTokenRows
  /// Gradients of `g` and `beta`, written, where the kind reads them.
  public var dg, dbeta: MutableTokenRows?

  /// The views of one (row, head); leave out what the kind does not read.
  public init(
    dO: TokenRows, dq: MutableTokenRows, dk: MutableTokenRows, dv: MutableTokenRows,
    dg: MutableTokenRows? = nil, dbeta: MutableTokenRows? = nil
  ) {
    (self.dO, self.dq, self.dk, self.dv, self.dg, self.dbeta) = (dO, dq, dk, dv, dg, dbeta)
  }
}
