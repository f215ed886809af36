/// What multiplies the state over a shard: `M` of `S_out = M S_in + B`.
package enum StateMapKind: Sendable {
  /// One number: no decay, fixed decay, scalar decay.
  case scalar
  /// One number per key channel: vector decay.
  case vector
  /// A matrix `[K, K]`: the delta rules.
  case matrix

  /// Floats of one `M`.
  package func count(_ keyDimension: Int) -> Int {
    switch self {
    case .scalar: 1
    case .vector: keyDimension
    case .matrix: keyDimension * keyDimension
    }
  }
}
