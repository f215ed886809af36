extension ExchangeKind {
  /// Bytes of states that a rank sends in one layer, forward and backward, without headers.
  ///
  /// Concretely, for P ranks, S bytes of states and M of maps, on rank r:
  ///
  ///     chain    S where r < P − 1, and S where r > 0
  ///     gather   (P − 1) (2 S + M), or (P − 1) (2 S + 2 M) where gradients go back by maps of their own
  ///     scan     (S + M) for each stride 2^k < P with r + 2^k < P, and for each with r − 2^k ≥ 0
  ///
  /// - Parameters:
  ///   - states: Bytes of all states of the layer.
  ///   - maps: Bytes of the maps that gather and scan send beside them.
  ///   - adjoints: Whether gradients go back by maps that no other rank can work out: those of stabilised states.
  ///   - rank: Place in the sequence group, in `0..<ranks`.
  ///   - ranks: Ranks that share the sequence.
  /// - Source: LASP (arXiv 2404.02882), LASP-2 (arXiv 2502.07563).
  package func bytesSent(states: Int, maps: Int, adjoints: Bool = false, rank: Int, ranks: Int)
    -> Int
  {
    precondition((0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    switch self {
    case .chain: return states * ((rank < ranks - 1 ? 1 : 0) + (rank > 0 ? 1 : 0))
    case .gather: return (ranks - 1) * (states + maps + states + (adjoints ? maps : 0))
    case .scan:
      let strides = (0..<Int.bitWidth - 1).map { 1 << $0 }.prefix { $0 < ranks }
      return strides.reduce(0) {
        $0 + (states + maps) * ((rank + $1 < ranks ? 1 : 0) + (rank - $1 >= 0 ? 1 : 0))
      }
    }
  }
}
