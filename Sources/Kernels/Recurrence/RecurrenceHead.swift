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
