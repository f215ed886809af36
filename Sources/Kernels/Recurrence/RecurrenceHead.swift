/// What one (row, head) of a recurrence reads.
package struct RecurrenceHead: Sendable {
  /// Queries, keys and values: `queryWidth` (`K`), `keyWidth` (`K`) and `valueWidth` (`V`) floats a token.
  package var q, k, v: TokenRows
  /// Log decay from data, ≤ 0, in nats: 1 or `K` floats a token.
  ///
  /// Values below −80 count as −80, but for the mLSTM.
  package var g: TokenRows?
  /// How much a token writes, 1 float a token: the delta rule's step, or the log of the mLSTM's input gate.
  package var beta: TokenRows?
  /// What reads and what is written of a low-rank transition `b_tᵀ a_t`: `K` floats a token each.
  package var a, b: TokenRows?
  /// Log decay of a kind whose decay is fixed, ≤ 0, in nats; clamped alike.
  package var logDecay: Float

  /// The views of one (row, head); leave out what the kind does not read.
  package init(
    q: TokenRows, k: TokenRows, v: TokenRows, g: TokenRows? = nil, beta: TokenRows? = nil,
    a: TokenRows? = nil, b: TokenRows? = nil, logDecay: Float = 0
  ) {
    (self.q, self.k, self.v, self.a, self.b) = (q, k, v, a, b)
    (self.g, self.beta, self.logDecay) = (g, beta, logDecay)
  }

  /// Whether queries, keys and values are numbers of bf16, so that products of them may be.
  var isBFloat16: Bool { q.kind == .bfloat16 && k.kind == .bfloat16 && v.kind == .bfloat16 }
}
