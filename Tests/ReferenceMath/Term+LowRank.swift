import Foundation

extension Term {
  /// A recurrence with a diagonal plus low-rank transition, token by token, of one head and sequence.
  ///
  /// Concretely: `S_t = diag(e^{g_t}) S_{t−1} + b_tᵀ (a_t S_{t−1}) + k_tᵀ v_t`, `o_t = scale · q_t S_t`. At a start
  /// `S_{t−1}` is zero.
  ///
  /// - Parameters:
  ///   - q: Queries, `[T, K]`; `k`, `a`, `b` alike; `v`, values, `[T, V]`.
  ///   - g: Log decays, `[T, K]` or `[T, 1]`; nil for none.
  ///   - initial: The state before the first token, `[K, V]`.
  /// - Returns: The outputs `[T, V]`, and the state after the last token.
  package static func lowRank(
    q: Term, k: Term, v: Term, g: Term?, a: Term, b: Term, initial: Term, scale: Double,
    starts: Set<Int>
  ) -> (o: Term, final: Term) {
    let (T, K, V) = (q.rows, q.columns, v.columns)
    func decay(_ t: Int, _ d: Int) -> Double {
      guard let g else { return 1 }
      return Foundation.exp(g.matrix[t, g.columns == 1 ? 0 : d])
    }
    var state = initial.matrix
    var result = Matrix(T + K, V)
    var (before, after, read): ([Matrix], [Matrix], [[Double]]) = ([], [], [])
    for t in 0..<T {
      if starts.contains(t) { state = Matrix(K, V) }
      before.append(state)
      let old = state
      let u = (0..<V).map { x in (0..<K).reduce(0) { $0 + a.matrix[t, $1] * old[$1, x] } }
      read.append(u)
      state = Matrix(K, V) { d, x in
        decay(t, d) * old[d, x] + b.matrix[t, d] * u[x] + k.matrix[t, d] * v.matrix[t, x]
      }
      after.append(state)
      for d in 0..<K {
        for x in 0..<V { result[t, x] += scale * q.matrix[t, d] * state[d, x] }
      }
    }
    for d in 0..<K { for x in 0..<V { result[T + d, x] = state[d, x] } }

    let inputs = [q, k, v, a, b, initial] + [g].compactMap { $0 }
    let both = Term(result, of: inputs) { result in
      var dState = result.gradient.rows(T..<T + K)
      for t in (0..<T).reversed() {
        var dRead = [Double](repeating: 0, count: V)
        for d in 0..<K {
          for x in 0..<V {
            q.gradient[t, d] += scale * after[t][d, x] * result.gradient[t, x]
            dState[d, x] += scale * q.matrix[t, d] * result.gradient[t, x]
            k.gradient[t, d] += dState[d, x] * v.matrix[t, x]
            v.gradient[t, x] += dState[d, x] * k.matrix[t, d]
            b.gradient[t, d] += dState[d, x] * read[t][x]
            dRead[x] += dState[d, x] * b.matrix[t, d]
          }
        }
        for d in 0..<K {
          for x in 0..<V {
            a.gradient[t, d] += before[t][d, x] * dRead[x]
            let kept = decay(t, d) * dState[d, x]
            if let g { g.gradient[t, g.columns == 1 ? 0 : d] += kept * before[t][d, x] }
            dState[d, x] = starts.contains(t) ? 0 : kept + a.matrix[t, d] * dRead[x]
          }
        }
      }
      for index in dState.numbers.indices {
        initial.gradient.numbers[index] += dState.numbers[index]
      }
    }
    return (both.rows(0..<T), both.rows(T..<T + K))
  }
}
