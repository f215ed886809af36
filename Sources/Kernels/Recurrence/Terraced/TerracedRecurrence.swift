/// Linear attention whose keys enter the state a terrace at a time: all queries of a terrace read the same state.
///
/// Concretely: the tokens of a piece have `o_t = q_t S`, and after its last one `S ← S + KᵀV` with the keys and values of
/// the terrace that the next piece's window leaves behind.
///
/// - Complexity: `O(T · K·V)` for each (row, head).
package struct TerracedRecurrence: Sendable {
  /// Rows and columns of a state.
  package let keyDimension, valueDimension: Int

  package init(keyDimension: Int, valueDimension: Int) {
    precondition(
      keyDimension > 0 && valueDimension > 0, "states of \(keyDimension) × \(valueDimension)")
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
  }

  /// Tokens of a shard that lie in one terrace of one document.
  package struct Piece: Sendable {
    /// Of the shard.
    package let tokens: Range<Int>
    /// Whether the state is cleared before.
    package let startsDocument: Bool
    /// Rows of keys and values that enter the state after it; may be empty.
    package let entering: Range<Int>

    package init(tokens: Range<Int>, startsDocument: Bool, entering: Range<Int>) {
      (self.tokens, self.startsDocument, self.entering) = (tokens, startsDocument, entering)
    }
  }

  /// What one (row, head) reads.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Head: @unchecked Sendable {
    let q, k, v: TokenRows
    let pieces: [Piece]

    /// Queries of the shard's tokens; keys and values of the rows that pieces name.
    package init(q: TokenRows, k: TokenRows, v: TokenRows, pieces: [Piece]) {
      (self.q, self.k, self.v, self.pieces) = (q, k, v, pieces)
    }
  }

  /// Floats of a state.
  package var stateCount: Int { keyDimension * valueDimension }
  /// Floats of scratch of a thread.
  package var scratchCount: Int {
    max(keyDimension, valueDimension)
      * (Lanes.padded(keyDimension) + Lanes.padded(valueDimension))
  }

  /// Brings the state to the end of the shard, and gives the outputs.
  ///
  /// - Parameters:
  ///   - initial: The state before the shard; nil for zero.
  ///   - kept: Receives the state of each piece, for the way back; nil where nobody asks.
  ///   - o: Outputs; nil where nobody asks.
  ///   - state: Receives the state after the shard.
  package func forward(
    _ head: Head, initial: UnsafePointer<Float>?, kept: UnsafeMutablePointer<Float>?,
    o: MutableTokenRows?, state: UnsafeMutablePointer<Float>
  ) {
    let (K, V) = (keyDimension, valueDimension)
    Rows.copy(initial, count: stateCount, into: state)
    for (index, piece) in head.pieces.enumerated() {
      if piece.startsDocument { state.update(repeating: 0, count: stateCount) }
      kept.map { ($0 + index * stateCount).update(from: state, count: stateCount) }
      if let o {
        SmallMatrix.multiply(
          head.q[piece.tokens.lowerBound], lda: head.q.stride, state, ldb: V,
          into: o[piece.tokens.lowerBound], ldc: o.stride, rows: piece.tokens.count, columns: V,
          inner: K)
      }
      guard !piece.entering.isEmpty else { continue }
      let first = piece.entering.lowerBound
      SmallMatrix.multiply(
        head.k[first], lda: head.k.stride, transposed: true, head.v[first], ldb: head.v.stride,
        into: state, ldc: V, rows: K, columns: V, inner: piece.entering.count, store: .add)
    }
  }

  /// Brings the state's gradient to the start of the shard.
  ///
  /// - Parameters:
  ///   - final: The gradient of the state after the shard; nil for zero.
  ///   - state: Receives that of the state before the shard.
  ///   - gradients: Where gradients are added, and the states that were kept; nil where only the state's is wanted.
  ///   - scratch: `scratchCount` floats.
  package func backward(
    _ head: Head, dO: TokenRows, final: UnsafePointer<Float>?,
    state D: UnsafeMutablePointer<Float>, gradients: Gradients?,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let (K, V) = (keyDimension, valueDimension)
    Rows.copy(final, count: stateCount, into: D)
    for (index, piece) in head.pieces.enumerated().reversed() {
      let first = piece.tokens.lowerBound
      if let gradients {
        if !piece.entering.isEmpty {
          let (rows, entering) = (piece.entering.count, piece.entering.lowerBound)
          SmallMatrix.multiplyTransposedRight(
            head.v[entering], lda: head.v.stride, D, ldb: V, into: gradients.dk[entering],
            ldc: gradients.dk.stride, rows: rows, columns: K, inner: V, store: .add,
            scratch: scratch)
          SmallMatrix.multiply(
            head.k[entering], lda: head.k.stride, D, ldb: V, into: gradients.dv[entering],
            ldc: gradients.dv.stride, rows: rows, columns: V, inner: K, store: .add)
        }
        SmallMatrix.multiplyTransposedRight(
          dO[first], lda: dO.stride, gradients.kept + index * stateCount, ldb: V,
          into: gradients.dq[first], ldc: gradients.dq.stride, rows: piece.tokens.count,
          columns: K, inner: V, store: .add, scratch: scratch)
      }
      SmallMatrix.multiply(
        head.q[first], lda: head.q.stride, transposed: true, dO[first], ldb: dO.stride, into: D,
        ldc: V, rows: K, columns: V, inner: piece.tokens.count, store: .add)
      if piece.startsDocument { D.update(repeating: 0, count: stateCount) }
    }
  }

  /// Where one (row, head) adds its gradients.
  ///
  /// Unchecked: each thread writes what belongs to its units; heads that share a gradient run one after another.
  package struct Gradients: @unchecked Sendable {
    let kept: UnsafePointer<Float>
    let dq, dk, dv: MutableTokenRows

    /// The states that `forward` kept, and the gradients, laid out as what they are of.
    package init(
      kept: UnsafePointer<Float>, dq: MutableTokenRows, dk: MutableTokenRows, dv: MutableTokenRows
    ) {
      (self.kept, self.dq, self.dk, self.dv) = (kept, dq, dk, dv)
    }
  }
}
