import SequenceParallel
import Training

/// The communication model for a run: what its ranks send of states, by formula.
///
/// Concretely: the bytes of each layer's states and maps come from a rehearsed step, and
/// `ExchangeKind.bytesSent` says how often each crosses.
struct StateTraffic: Sendable {
  /// Ranks that share a sequence.
  let ranks: Int
  /// The layers whose states cross.
  let layers: [Layer]

  /// What a layer has to send.
  struct Layer: Sendable, Equatable {
    /// Bytes of its states, and of the maps that gather and scan send beside them.
    let states, maps: Int
    /// Whether gradients go back by maps of their own.
    var hasAdjoints = false
    /// Numbers of all queries of one position: sequences of a group × heads × key dimension.
    let width: Int
  }

  init(ranks: Int, layers: [Layer]) { (self.ranks, self.layers) = (ranks, layers) }

  /// Looks at a run.
  init(_ configuration: RunConfiguration, _ setup: RunSetup, ranks: Int) throws {
    let grid = try GridPlace(configuration, rank: 0, ranks: ranks)
    let loads = try Rehearsals(
      configuration, corpus: setup.corpus, model: setup.model, ranks: ranks
    ).loads()
    // Every micro-batch of a step passes all layers.
    let all = (0..<configuration.training.accumulation).flatMap { _ in loads }
    self.init(
      ranks: grid.sequence,
      layers: all.map {
        Layer(
          states: 4 * $0.units * $0.map.stateCount, maps: 4 * $0.sentMapCount,
          hasAdjoints: $0.map.kind.adjoint != $0.map.kind, width: $0.units * $0.map.keyDimension)
      })
  }

  /// Bytes that a rank sends a step.
  func bytes(_ exchange: ExchangeKind, rank: Int) -> Int {
    layers.reduce(0) {
      $0
        + exchange.bytesSent(
          states: $1.states, maps: $1.maps, adjoints: $1.hasAdjoints, rank: rank, ranks: ranks)
    }
  }

  /// Bytes that a rank would send a step if it passed keys and values around instead, as Ring Attention does.
  ///
  /// - Parameter length: Tokens of a sequence.
  func ringAttentionBytes(length: Int) -> Double {
    let (each, others) = (Double(length) / Double(ranks), Double(ranks - 1))
    return layers.reduce(0) { $0 + 3 * 4 * 2 * each * Double($1.width) * others }
  }

  /// Bytes that a rank would send a step by all-to-alls between heads and positions, as DeepSpeed-Ulysses does.
  ///
  /// - Parameter length: Tokens of a sequence.
  func ulyssesBytes(length: Int) -> Double {
    let (each, ranks) = (Double(length) / Double(ranks), Double(ranks))
    return layers.reduce(0) { $0 + 2 * 4 * 4 * each * Double($1.width) * (ranks - 1) / ranks }
  }

  /// Bytes that the rank that sends most of them sends a step.
  func mostBytes(_ exchange: ExchangeKind) -> Int {
    (0..<ranks).map { bytes(exchange, rank: $0) }.max() ?? 0
  }
}
