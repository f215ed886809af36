/// What multiplies the state over a shard: `M` of `S_out = M S_in + B`.
package enum StateMapKind: Sendable {
  /// One number: no decay, fixed decay, scalar decay.
  case scalar
  /// One number per key channel: vector decay.
  case vector
  /// A matrix `[K, K]`: the delta rules.
  case matrix
  /// One number `G`, a log decay; behind the sums of a state, `[K, V + 1]`, stands the maximum that they are divided
  /// by: the mLSTM.
  ///
  /// Concretely, a shard `(G, μ, C)` maps `(S, m)` to `m' = max(G + m, μ)` and `e^{G+m−m'} S + e^{μ−m'} C`.
  /// It is −∞ where a document starts, and `μ` where there is no token.
  case stabilised
  /// By which gradients of stabilised states go back: one number `f`, with a sign.
  ///
  /// Concretely, `D_in = |f| D_out + E`; the gradient by the maximum, behind it, is not scaled, and goes on where `f` is
  /// positive: where the maximum that came in is the one that goes out.
  case stabilisedAdjoint

  /// Floats of one `M`.
  package func count(_ keyDimension: Int) -> Int {
    switch self {
    case .scalar, .stabilised, .stabilisedAdjoint: 1
    case .vector: keyDimension
    case .matrix: keyDimension * keyDimension
    }
  }

  /// What gradients go back by: `M` itself, transposed, unless the state is not affine in what it holds.
  package var adjoint: StateMapKind { self == .stabilised ? .stabilisedAdjoint : self }
}
