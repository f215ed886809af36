import Testing

@testable import SequenceParallel

@Suite("What the exchanges cost, by the model of the network")
struct ExchangeCostTests {
  private func cost(
    ranks: Int, layers: Int, latency: Double, perByte: Double = 1e-10, bytes: Int = 1 << 20,
    maps: Int = 0, compose: Double = 0
  ) -> ExchangeCost {
    ExchangeCost(
      ranks: ranks, latency: latency, secondsPerByte: perByte,
      layers: Array(
        repeating: ExchangeCost.Layer(
          stateBytes: bytes, mapBytes: maps, combineSeconds: 1e-5, composeSeconds: compose),
        count: layers))
  }

  @Test("The formulas, by numbers")
  func formulas() {
    // Of 5 ranks and 2 layers, with α = 1, β = 1/8, S = 16, M = 8, c = 4, m = 0.5.
    let layer = ExchangeCost.Layer(
      stateBytes: 16, mapBytes: 8, combineSeconds: 4, composeSeconds: 0.5)
    let cost = ExchangeCost(
      ranks: 5, latency: 1, secondsPerByte: 0.125, layers: [layer, layer])
    let chain: Double = 38  // 4 (1 + 2 + 4) + 2 (1 + 4)
    let gather: Double = 62  // 2 (3 · 1 + 4 (3 + 4))
    let scan: Double = 51  // 2 · 3 (1 + 3 + 4 + 0.5)
    #expect(cost.seconds(.chain) == chain)
    #expect(cost.seconds(.gather) == gather)
    #expect(cost.seconds(.scan) == scan)
  }

  @Test("One rank exchanges nothing")
  func alone() {
    for kind in ExchangeKind.allCases {
      #expect(cost(ranks: 1, layers: 8, latency: 1e-6).seconds(kind) == 0)
    }
  }

  @Test("The chain's fill is paid once: it wins with many layers")
  func manyLayers() {
    #expect(cost(ranks: 16, layers: 24, latency: 5e-6).best == .chain)
  }

  @Test("One layer on many ranks is best scanned where states are large")
  func oneLayer() {
    #expect(cost(ranks: 64, layers: 1, latency: 5e-6).best == .scan)
  }

  @Test("One layer on few ranks is best gathered where composing maps is dear")
  func dearMaps() {
    #expect(
      cost(ranks: 4, layers: 1, latency: 1e-3, bytes: 1 << 10, compose: 1e-4).best == .gather)
  }

  @Test("Large maps speak for the chain, which keeps them at home")
  func largeMaps() {
    let light = cost(ranks: 8, layers: 2, latency: 1e-6)
    let heavy = cost(ranks: 8, layers: 2, latency: 1e-6, maps: 4 << 20)
    #expect(heavy.seconds(.chain) == light.seconds(.chain))
    #expect(heavy.seconds(.scan) > light.seconds(.scan))
    #expect(heavy.best == .chain)
  }
}
