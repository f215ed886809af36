/// What each exchange adds to a step, by a model of the network: the choice that `parallel.exchange: auto` makes.
///
/// Concretely, per pass over P ranks, with latency α, seconds a byte β, and for each layer the bytes S of its
/// states and M of its maps, the time c of applying and m of composing its maps:
///
///     chain    (P − 1) · max(α + βS + c)  +  Σ (α + c)              the fill once, then transfers are hidden
///     gather   Σ ( ⌈log₂P⌉ α + (P − 1)(β(S + M) + c) )              a collective and a prefix each layer
///     scan     Σ ⌈log₂P⌉ (α + β(S + M) + c + m)                     its steps each layer
///
/// - Source: the α–β model of Hockney (1994); LASP (arXiv 2404.02882), LASP-2 (arXiv 2502.07563).
public struct ExchangeCost: Sendable, Equatable {
  /// One layer's messages and arithmetic.
  public struct Layer: Sendable, Equatable {
    /// Bytes of all states of a layer.
    public let stateBytes: Int
    /// Bytes of the maps that gather and scan send beside them.
    public let mapBytes: Int
    /// Seconds to apply all maps.
    public let combineSeconds: Double
    /// Seconds to compose all maps with others.
    public let composeSeconds: Double

    /// Describes a layer.
    public init(
      stateBytes: Int, mapBytes: Int, combineSeconds: Double, composeSeconds: Double
    ) {
      (self.stateBytes, self.mapBytes) = (stateBytes, mapBytes)
      (self.combineSeconds, self.composeSeconds) = (combineSeconds, composeSeconds)
    }
  }

  /// Ranks that share a sequence.
  public let ranks: Int
  /// α: seconds that a message takes however short it is.
  public let latency: Double
  /// β: seconds that a byte more takes.
  public let secondsPerByte: Double
  /// The layers whose states cross ranks.
  public let layers: [Layer]

  /// Describes a network and what crosses it.
  public init(ranks: Int, latency: Double, secondsPerByte: Double, layers: [Layer]) {
    precondition(ranks > 0, "\(ranks) ranks")
    (self.ranks, self.layers) = (ranks, layers)
    (self.latency, self.secondsPerByte) = (latency, secondsPerByte)
  }

  /// Seconds that an exchange adds to a pass.
  public func seconds(_ kind: ExchangeKind) -> Double {
    let hops = Double(ranks - 1)
    guard hops > 0 else { return 0 }
    let steps = Double(Int.bitWidth - (ranks - 1).leadingZeroBitCount)
    switch kind {
    case .chain:
      let fill = layers.map { transfer($0.stateBytes) + $0.combineSeconds }.max() ?? 0
      return hops * fill + layers.reduce(0) { $0 + latency + $1.combineSeconds }
    case .gather:
      return layers.reduce(0) {
        $0 + steps * latency
          + hops * (transfer($1.stateBytes + $1.mapBytes) - latency + $1.combineSeconds)
      }
    case .scan:
      return layers.reduce(0) {
        $0 + steps
          * (transfer($1.stateBytes + $1.mapBytes) + $1.combineSeconds + $1.composeSeconds)
      }
    }
  }

  /// The exchange that adds least; the first of `ExchangeKind` where several do.
  public var best: ExchangeKind {
    ExchangeKind.allCases.min { seconds($0) < seconds($1) } ?? .chain
  }

  private func transfer(_ bytes: Int) -> Double { latency + secondsPerByte * Double(bytes) }
}
