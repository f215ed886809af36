/// What a token's own key and value add to its output, beside a state that does not hold them yet:
/// `y = o + (Σ_d q_d u_d k_d) v` of each head, and its twin.
///
/// - Source: RWKV-6 (arXiv 2404.05892), whose `u` is its bonus; RWKV-7 (2503.14456).
package struct HeadBonus: Sendable {
  /// Heads, and numbers of a key and of a value of each.
  package let heads, keyWidth, valueWidth: Int

  package init(heads: Int, keyWidth: Int, valueWidth: Int) {
    (self.heads, self.keyWidth, self.valueWidth) = (heads, keyWidth, valueWidth)
  }

  /// One token's row: `y ← residual + (Σ q u k) v`.
  ///
  /// - Parameter weight: `u`, shape `[heads, K]`.
  package func forward(
    q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
    weight: UnsafePointer<Float>, residual: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    let (K, V) = (keyWidth, valueWidth)
    for head in 0..<heads {
      let (q, k, u) = (q + head * K, k + head * K, weight + head * K)
      let (v, o, y) = (v + head * V, residual + head * V, y + head * V)
      let s = Reduction.dot(q, u, k, K)
      for x in 0..<V { y[x] = o[x].addingProduct(s, v[x]) }
    }
  }

  /// One token's row: with `δ = dy·v`, `dq = δ u ⊙ k`, `dk = δ u ⊙ q`, `dv = (Σ q u k) dy`, and `du += δ q ⊙ k`.
  ///
  /// - Parameter dWeight: Receives the weight's gradient where it is wanted.
  package func backward(
    q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
    weight: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, dq: UnsafeMutablePointer<Float>,
    dk: UnsafeMutablePointer<Float>, dv: UnsafeMutablePointer<Float>,
    dWeight: UnsafeMutablePointer<Float>?
  ) {
    let (K, V) = (keyWidth, valueWidth)
    for head in 0..<heads {
      let (q, k, u) = (q + head * K, k + head * K, weight + head * K)
      let (dq, dk) = (dq + head * K, dk + head * K)
      let (v, dv, dy) = (v + head * V, dv + head * V, dy + head * V)
      let (delta, s) = (Reduction.dot(dy, v, V), Reduction.dot(q, u, k, K))
      for d in 0..<K { dq[d] = delta * u[d] * k[d] }
      for d in 0..<K { dk[d] = delta * u[d] * q[d] }
      if let du = dWeight.map({ $0 + head * K }) {
        for d in 0..<K { du[d] = du[d].addingProduct(delta * q[d], k[d]) }
      }
      for x in 0..<V { dv[x] = s * dy[x] }
    }
  }
}
