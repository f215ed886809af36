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
    let chain: Double = 36  // 4 (1 + 2 + 4), more than 2 · 2, + 2 · 4
    let gather: Double = 62  // 2 (3 · 1 + 4 (3 + 4))
    let scan: Double = 45  // 2 · 3 · 3, more than 3 (1 + 3), + 2 · 3 (4 + 0.5)
    #expect(cost.seconds(.chain) == chain)
    #expect(cost.seconds(.gather) == gather)
    #expect(cost.seconds(.scan) == scan)
  }

  @Test("The row of messages that the scan waits for, found by following all messages")
  func rows() {
    for ranks in 2...33 {
      for layers in [1, 2, 3, 5, 8, 24, 40] {
        let cost = ExchangeCost(
          ranks: ranks, latency: 1, secondsPerByte: 0,
          layers: Array(
            repeating: ExchangeCost.Layer(
              stateBytes: 0, mapBytes: 0, combineSeconds: 0, composeSeconds: 0), count: layers))
        #expect(cost.seconds(.chain) == delay(ranks, layers, next: chained))
        #expect(cost.seconds(.scan) == delay(ranks, layers, next: scanned))
      }
    }
  }

  /// When the last of all ranks is through, apart from its own work, which takes 4 a layer.
  private func delay(_ ranks: Int, _ layers: Int, next: ([Double]) -> [Double]) -> Double {
    var times = [Double](repeating: 0, count: ranks)
    for _ in 0..<layers { times = next(times.map { $0 + 4 }) }
    return times.max()! - 4 * Double(layers)
  }

  /// When ranks whose summaries are ready then have the states before them, if a message takes 1.
  private func chained(_ ready: [Double]) -> [Double] {
    var times = [ready[0]]
    for own in ready.dropFirst() { times.append(max(own, times.last! + 1)) }
    return times
  }

  /// The same by recursive doubling.
  private func scanned(_ ready: [Double]) -> [Double] {
    var times = ready
    var distance = 1
    while distance < ready.count {
      times = times.indices.map {
        $0 < distance ? times[$0] : max(times[$0], times[$0 - distance] + 1)
      }
      distance *= 2
    }
    return times
  }

  /// Milliseconds of a step, measured with 8 layers on two hosts with so long a delay between them
  /// (Docs/Scaling.md).
  struct Measured: Sendable {
    let delay: Double
    let chain: Double
    let gather: Double
    let scan: Double

    static let undelayed = Measured(delay: 0, chain: 9.7, gather: 13.0, scan: 11.1)
    static let delayed = [
      Measured(delay: 1, chain: 14.8, gather: 39.9, scan: 15.4),
      Measured(delay: 5, chain: 35.9, gather: 122.4, scan: 36.4),
      Measured(delay: 20, chain: 118.9, gather: 415.9, scan: 118.4),
    ]
  }

  @Test("What was measured between two hosts", arguments: Measured.delayed)
  func measured(_ step: Measured) {
    // Ranks of one host are no delay apart: two ranks are left.
    let delayed = ExchangeCost(
      ranks: 2, latency: step.delay, secondsPerByte: 0,
      layers: Array(
        repeating: ExchangeCost.Layer(
          stateBytes: 0, mapBytes: 0, combineSeconds: 0, composeSeconds: 0), count: 8))
    func passes(_ kind: ExchangeKind) -> Double { 2 * delayed.seconds(kind) }
    #expect(delayed.best == .chain)
    #expect(step.chain < 1.01 * min(step.gather, step.scan))
    #expect(passes(.scan) == passes(.chain))
    #expect(abs(step.scan - step.chain) < 1)
    // Each of the 16 gathers takes less than 1 ms besides the delay.
    let before = Measured.undelayed
    let dearer = (step.gather - before.gather) - (step.chain - before.chain)
    #expect(abs(dearer - (passes(.gather) - passes(.chain))) < 16)
  }

  @Test("One rank exchanges nothing")
  func alone() {
    for kind in ExchangeKind.allCases {
      #expect(cost(ranks: 1, layers: 8, latency: 1e-6).seconds(kind) == 0)
    }
  }

  @Test("The chain's fill is paid once: it wins with many layers, by the slowest network too")
  func manyLayers() {
    for latency in [5e-6, 1e-3, 0.02] {
      #expect(cost(ranks: 16, layers: 24, latency: latency).best == .chain)
    }
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
