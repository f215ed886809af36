/// What one (row, head) of a recurrence's backward pass reads and writes beside its `RecurrenceHead`.
package struct RecurrenceGradient: Sendable {
  /// Gradient of the output, `outputWidth` (`V`) floats a token.
  package var dO: TokenRows
  /// The output itself, for a kernel that divides by a normaliser.
  package var o: TokenRows?
  /// Gradients of queries, keys and values, written.
  package var dq, dk, dv: MutableTokenRows
  /// Gradients of `g`, `beta`, `a` and `b`, written, where the kind reads them.
  package var dg, dbeta, da, db: MutableTokenRows?

  /// The views of one (row, head); leave out what the kind does not read.
  package init(
    dO: TokenRows, o: TokenRows? = nil, dq: MutableTokenRows, dk: MutableTokenRows,
    dv: MutableTokenRows, dg: MutableTokenRows? = nil, dbeta: MutableTokenRows? = nil,
    da: MutableTokenRows? = nil, db: MutableTokenRows? = nil
  ) {
    self.o = o
    (self.dO, self.dq, self.dk, self.dv, self.dg, self.dbeta) = (dO, dq, dk, dv, dg, dbeta)
    (self.da, self.db) = (da, db)
  }
}
