import ReferenceMath

/// Every tensor that a recurrence gives.
struct ExpectedRecurrence: Sendable {
  /// `o`, `dq`, `dk`, `dv`, `dg` and `dbeta`: of each row `[T, columns]`.
  var ofTokens: [String: [Matrix]] = [:]
  /// `final` and `dInitial`, `[rows, heads, K, V]`.
  var ofStates: [String: [Double]] = ["final": [], "dInitial": []]
}

extension RecurrenceCase {
  /// The per-token reference in Double, row by row and head by head.
  func expected() -> ExpectedRecurrence {
    var expected = ExpectedRecurrence()
    for row in 0..<rows {
      let leaves = [q, k, v, g, beta].map { Term($0[row]) }
      let (q, k, v, g, beta) = (leaves[0], leaves[1], leaves[2], leaves[3], leaves[4])
      let (K, V, gates) = (keyDimension, valueDimension, kind.gates(keyDimension))
      let initials = (0..<heads.state).map { Term(state(initial, row: row, head: $0)) }
      /// The columns that head `head` of the state reads of an input with `own` heads.
      func part(_ input: Term, _ head: Int, own: Int, width: Int) -> Term {
        input.head(head / (heads.state / own), width: width)
      }
      let results = (0..<heads.state).map { head in
        var decay = gates > 0 ? part(g, head, own: heads.gate, width: gates) : nil
        if kind == .fixedDecay {
          decay = Term(Matrix(tokens, 1, repeating: Double(logDecay[head])))
        }
        return Term.recurrence(
          q: part(q, head, own: heads.query, width: K), k: part(k, head, own: heads.key, width: K),
          v: part(v, head, own: heads.value, width: V), g: decay,
          beta: kind.isDelta ? beta.head(head, width: 1) : nil, initial: initials[head],
          scale: Double(scale), starts: Set(documentStarts[row]))
      }
      let all = Term.concatenated(results)
      let dFinals = (0..<heads.state).map { state(dFinal, row: row, head: $0) }
      all.backward(dO[row].above(Matrix(K, heads.state * V) { dFinals[$1 / V][$0, $1 % V] }))
      expected.ofTokens["o", default: []].append(all.matrix.rows(0..<tokens))
      for (name, leaf) in zip(["dq", "dk", "dv", "dg", "dbeta"], leaves) {
        expected.ofTokens[name, default: []].append(leaf.gradient)
      }
      for result in results {
        expected.ofStates["final"]! += result.matrix.rows(tokens..<tokens + K).numbers
      }
      for initial in initials { expected.ofStates["dInitial"]! += initial.gradient.numbers }
    }
    return expected
  }

  /// One head's state of `[rows, heads, K, V]`; zero for nil.
  private func state(_ states: [Float]?, row: Int, head: Int) -> Matrix {
    let count = keyDimension * valueDimension
    let first = (row * heads.state + head) * count
    return states.map { Matrix(keyDimension, valueDimension, $0[first..<first + count]) }
      ?? Matrix(keyDimension, valueDimension)
  }
}
