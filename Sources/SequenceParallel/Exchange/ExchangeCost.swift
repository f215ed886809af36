/// What each exchange adds to a step, by a model of the network: the choice that `parallel.exchange: auto` makes.
///
/// Concretely, per pass over P ranks, with latency α, seconds a byte β, and for each layer the bytes S of its
/// states and M of its maps, the time c of applying and m of composing its maps:
///
///     chain    max( (P − 1) · max(α + βS + c),  Σ βS )  +  Σ c
///     gather   Σ ( ⌈log₂P⌉ α + (P − 1)(β(S + M) + c) )
///     scan     max( H · max(α + β(S + M)),  Σ ⌈log₂P⌉ β(S + M) )  +  Σ ⌈log₂P⌉ (c + m)
///
/// The gather lets every rank wait for all in every layer. In the chain and the scan a rank waits only for those
/// before it, and no barrier stands between layers: ranks become skewed once, and what they would wait for
/// later has come while they worked. So they pay for the longest row of messages that wait for one another. In
/// the chain it has P − 1. In the scan a row may use each of the distances 1, 2, 4, … once a layer, and leads
/// from rank 0 to rank P − 1 at most: H is the most of them that fit into P − 1. For one layer that is ⌊log₂P⌋;
/// from P − 1 layers on it is P − 1, as in the chain.
///
/// A rank's messages share its link, behind the layers' work: their sum counts where it is more than the row.
/// Every link is taken to be as slow as the slowest.
///
/// - Source: the α–β model of Hockney (1994); LASP (arXiv 2404.02882), LASP-2 (arXiv 2502.07563).
package struct ExchangeCost: Sendable, Equatable {
  /// One layer's messages and arithmetic.
  package struct Layer: Sendable, Equatable {
    /// Bytes of all states of a layer.
    package let stateBytes: Int
    /// Bytes of the maps that gather and scan send beside them.
    package let mapBytes: Int
    /// Seconds to apply all maps.
    package let combineSeconds: Double
    /// Seconds to compose all maps with others.
    package let composeSeconds: Double

    package init(
      stateBytes: Int, mapBytes: Int, combineSeconds: Double, composeSeconds: Double
    ) {
      (self.stateBytes, self.mapBytes) = (stateBytes, mapBytes)
      (self.combineSeconds, self.composeSeconds) = (combineSeconds, composeSeconds)
    }
  }

  /// Ranks that share a sequence.
  package let ranks: Int
  /// α: seconds that a message takes however short it is.
  package let latency: Double
  /// β: seconds that a byte more takes.
  package let secondsPerByte: Double
  /// The layers whose states cross ranks.
  package let layers: [Layer]

  /// Describes a network and what crosses it.
  package init(ranks: Int, latency: Double, secondsPerByte: Double, layers: [Layer]) {
    precondition(ranks > 0, "\(ranks) ranks")
    (self.ranks, self.layers) = (ranks, layers)
    (self.latency, self.secondsPerByte) = (latency, secondsPerByte)
  }

  /// Seconds that an exchange adds to a pass.
  package func seconds(_ kind: ExchangeKind) -> Double {
    let hops = Double(ranks - 1)
    guard hops > 0 else { return 0 }
    let steps = Double(Int.bitWidth - (ranks - 1).leadingZeroBitCount)
    switch kind {
    case .chain:
      let row = hops * (layers.map { transfer($0.stateBytes) + $0.combineSeconds }.max() ?? 0)
      let link = sum { secondsPerByte * Double($0.stateBytes) }
      return max(row, link) + sum(\.combineSeconds)
    case .gather:
      return sum {
        steps * latency
          + hops * (transfer($0.stateBytes + $0.mapBytes) - latency + $0.combineSeconds)
      }
    case .scan:
      let row = Double(scanRow) * (layers.map { transfer($0.stateBytes + $0.mapBytes) }.max() ?? 0)
      let link = sum { steps * secondsPerByte * Double($0.stateBytes + $0.mapBytes) }
      return max(row, link) + sum { steps * ($0.combineSeconds + $0.composeSeconds) }
    }
  }

  /// H: messages of the scan that wait for one another, over all layers.
  private var scanRow: Int {
    var (row, left, distance) = (0, ranks - 1, 1)
    while distance <= left {
      let taken = min(layers.count, left / distance)
      row += taken
      left -= taken * distance
      distance *= 2
    }
    return row
  }

  /// The exchange that adds least; the first of `ExchangeKind` where several do.
  package var best: ExchangeKind {
    ExchangeKind.allCases.min { seconds($0) < seconds($1) } ?? .chain
  }

  private func sum(_ seconds: (Layer) -> Double) -> Double {
    layers.reduce(0) { $0 + seconds($1) }
  }

  private func transfer(_ bytes: Int) -> Double { latency + secondsPerByte * Double(bytes) }
}
