import Foundation

extension Term {
  /// Recurrences whose states have rows that decay each by a gate of their own, token by token.
  ///
  /// Concretely: `S_t = diag(e^{g_t}) S_{t−1} + v_tᵀ k_t`, `o_t = scale · q_t S_tᵀ` with `S [V, K]`; or with slots,
  /// `s = 1 − e^g` and `S [M, K + V]`: `S_t = diag(e^{g_t}) S_{t−1} + s_tᵀ [k_t | v_t]`,
  /// `o_t = softmax(q_t Kᵀ) V` of the parts `K` and `V` of `S_t`.
  ///
  /// - Parameters:
  ///   - g: Shape `[T, V]` or `[T, M]`; decays are clamped at −80.
  ///   - starts: Positions at which the state is zero before the token.
  /// - Returns: `o [T, V]` and the final state.
  package static func rowDecay(
    q: Term, k: Term, v: Term, g: Term, hasSlots: Bool, initial: Term, scale: Double,
    starts: Set<Int>
  ) -> (o: Term, final: Term) {
    var state = initial
    var outputs: [Term] = []
    for t in 0..<q.rows {
      if starts.contains(t) { state = Term(Matrix(initial.rows, initial.columns)) }
      let (q, k, v, g) = (
        q.rows(t..<t + 1), k.rows(t..<t + 1), v.rows(t..<t + 1), g.rows(t..<t + 1).transposed
      )
      let stays = g.map({ Foundation.exp(max($0, -80)) }) { $0 < -80 ? 0 : $1 }
      let kept = stays.spread(state.columns) * state
      guard hasSlots else {
        state = kept + v.transposed.times(k)
        outputs.append(q.times(state.transposed).scaled(by: scale).transposed)
        continue
      }
      let written = g.map({ -expm1($0) }) { $1 - 1 }
      state = kept + written.times(concatenated([k, v]))
      let logits = q.times(state.columns(0..<k.columns).transposed)
      let values = state.columns(k.columns..<state.columns)
      outputs.append(logits.exp.sumNorm.times(values).transposed)
    }
    // A sequence without tokens has an output of no rows.
    let o = outputs.isEmpty ? Term(Matrix(0, v.columns)) : concatenated(outputs).transposed
    return (o, state)
  }
}
