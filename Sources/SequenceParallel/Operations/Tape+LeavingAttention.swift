import Autodiff
import Kernels

extension Tape {
  /// Linear attention without decay to the tokens that a window has left behind.
  ///
  /// Concretely: `o_t = φ(q_t) Σ_j φ(k_j)ᵀ [v_j, 1]` over the tokens of t's document before its window. Of a sliding
  /// window it is the ordinary recurrence over what leaves the window; of a terraced one, terraces enter as a whole.
  ///
  /// - Parameters:
  ///   - q: Features of queries, `[N, heads·F]`.
  ///   - k: Features of the keys of `leavingTokens`, in as many heads or fewer.
  ///   - v: Their values, with ones.
  ///   - recent: The tokens that they are of.
  ///   - heads: Heads of queries; `valueHeads`, of values.
  ///   - slot: The layer and state, for carries and messages.
  /// - Returns: `[N, heads·(V+1)]`.
  package func leavingAttention(
    q: Variable, k: Variable, v: Variable, recent: RecentTokens, span: AttentionSpan,
    heads: Int, valueHeads: Int, slot: CarrySlot
  ) throws -> Variable {
    let features = q.shape.columns / heads
    let values = v.shape.columns / valueHeads
    switch span {
    case .sliding:
      return try recurrence(
        DiagonalRecurrence(.none, keyDimension: features, valueDimension: values),
        RecurrenceInputs(q: q, k: k, v: v), slot: slot, pass: recent.pass)
    case .terraced(let width):
      return try terracedRecurrence(
        TerracedRecurrence(keyDimension: features, valueDimension: values), q: q, k: k, v: v,
        recent: recent, width: width, slot: slot)
    }
  }
}
