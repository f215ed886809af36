import ReferenceMath

/// Every tensor that a recurrence gives.
struct ExpectedRecurrence: Sendable {
  /// `o`, `dq`, `dk`, `dv`, `dg`, `dbeta`, `da` and `db`: of each row `[T, columns]`.
  var ofTokens: [String: [Matrix]] = [:]
  /// `final` and `dInitial`, `[rows, heads]` of the state's shape.
  var ofStates: [String: [Double]] = ["final": [], "dInitial": []]
}

extension RecurrenceCase {
  /// The per-token reference in Double, row by row and head by head.
  func expected() -> ExpectedRecurrence {
    var expected = ExpectedRecurrence()
    for row in 0..<rows {
      let leaves = [q, k, v, g, beta, a, b].map { Term($0[row]) }
      // With several steps a token: its decay at the first, its query at the last.
      let ofSteps = [1, 2, 4].map {
        leaves[$0].reshaped(tokens * steps, leaves[$0].columns / steps)
      }
      let (k, v, beta) = (ofSteps[0], ofSteps[1], ofSteps[2])
      let q = leaves[0].spread(rows: steps, at: steps - 1)
      let g = leaves[3].spread(rows: steps, at: 0)
      let (K, V, gates) = (keyDimension, valueDimension, kind.gates(stateShape.rows))
      let initials = (0..<heads.state).map { Term(state(initial, row: row, head: $0)) }
      /// The columns that head `head` of the state reads of an input with `own` heads.
      func part(_ input: Term, _ head: Int, own: Int, width: Int) -> Term {
        input.head(head / (heads.state / own), width: width)
      }
      let results = (0..<heads.state).map { head -> (o: Term, final: Term) in
        var decay = gates > 0 ? part(g, head, own: heads.gate, width: gates) : nil
        if kind == .fixedDecay {
          decay = Term(Matrix(tokens, 1, repeating: Double(logDecay[head])))
        }
        let (q, k) = (
          features(part(q, head, own: heads.query, width: kind.keyWidth(K))),
          features(part(k, head, own: heads.key, width: kind.keyWidth(K)))
        )
        var v = part(v, head, own: heads.value, width: V)
        if kind.isNormalized {
          v = Term.concatenated([v, Term(Matrix(v.rows, 1, repeating: 1))])
        }
        let starts = Set(documentStarts[row].map { $0 * steps })
        switch kind {
        case .valueDecay, .gatedSlots:
          return Term.rowDecay(
            q: q, k: k, v: v, g: decay!, hasSlots: kind == .gatedSlots, initial: initials[head],
            scale: Double(scale), starts: starts)
        case .lowRank, .lowRankWithScalarDecay, .lowRankWithVectorDecay:
          return Term.lowRank(
            q: q, k: k, v: v, g: decay, a: part(leaves[5], head, own: heads.key, width: K),
            b: part(leaves[6], head, own: heads.state, width: K), initial: initials[head],
            scale: Double(scale), starts: starts)
        default:
          let both = Term.recurrence(
            q: q, k: k, v: v, g: decay, beta: kind.isDelta ? beta.head(head, width: 1) : nil,
            initial: initials[head], scale: Double(scale),
            isExclusive: kind == .exclusiveVectorDecay, starts: starts)
          let all = tokens * steps
          var o = both.rows(0..<all).taken(everyRow: steps, from: steps - 1)
          if kind.isNormalized {
            let inverse = o.columns(V..<V + 1).map({ 1 / ($0 + Double(Self.epsilon)) }) { -$1 * $1 }
            o = o.columns(0..<V) * Term.concatenated(Array(repeating: inverse, count: V))
          }
          return (o, both.rows(all..<all + K))
        }
      }
      let o = Term.concatenated(results.map(\.o))
      let sums =
        [o.sum(times: dO[row])]
        + results.indices.map { results[$0].final.sum(times: state(dFinal, row: row, head: $0)) }
      sums.dropFirst().reduce(sums[0], +).backward()
      expected.ofTokens["o", default: []].append(o.matrix)
      for (name, leaf) in zip(["dq", "dk", "dv", "dg", "dbeta", "da", "db"], leaves) {
        expected.ofTokens[name, default: []].append(leaf.gradient)
      }
      for result in results {
        expected.ofStates["final"]! += result.final.matrix.numbers
      }
      for initial in initials { expected.ofStates["dInitial"]! += initial.gradient.numbers }
    }
    return expected
  }

  /// What the state sees of a head's queries or keys, `[T, width]`: themselves, or their monomials of degree two.
  private func features(_ y: Term) -> Term {
    guard kind.hasSquares else { return y }
    let numbers = (0..<y.columns).map { y.columns($0..<$0 + 1) }
    return Term.concatenated(
      numbers.indices.flatMap { a in
        (a..<numbers.count).map { b in
          (numbers[a] * numbers[b]).scaled(by: a == b ? 1 : 2.0.squareRoot())
        }
      })
  }

  /// One head's state of all; zero for nil.
  private func state(_ states: [Float]?, row: Int, head: Int) -> Matrix {
    let (rows, columns) = stateShape
    let count = rows * columns
    let first = (row * heads.state + head) * count
    return states.map { Matrix(rows, columns, $0[first..<first + count]) } ?? Matrix(rows, columns)
  }
}
