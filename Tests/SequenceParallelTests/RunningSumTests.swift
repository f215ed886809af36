import Foundation
import SequenceParallel
import Tensors
import Testing

@Suite("Running sums along the sequence")
struct RunningSumTests {
  /// Sums a token at a time, in Double, and the gradients of what was summed.
  private static func reference(
    _ test: SequenceCase, _ channels: Int, x: [Float], dy: [Float], restarts: Bool
  ) -> (y: [Double], dx: [Double]) {
    var (y, dx) = ([Double](repeating: 0, count: x.count), [Double](repeating: 0, count: x.count))
    for row in 0..<test.rows {
      for c in 0..<channels {
        func at(_ token: Int) -> Int { (row * test.tokens + token) * channels + c }
        func isNew(_ token: Int) -> Bool { restarts && test.starts[row].contains(token) }
        var sum = 0.0
        for token in 0..<test.tokens {
          sum = (isNew(token) ? 0 : sum) + Double(x[at(token)])
          y[at(token)] = sum
        }
        var later = 0.0
        for token in (0..<test.tokens).reversed() {
          later += Double(dy[at(token)])
          dx[at(token)] = later
          if isNew(token) { later = 0 }
        }
      }
    }
    return (y, dx)
  }

  @Test("any partition, documents, segments and exchange", arguments: 0..<40 as Range<UInt64>)
  func agreesWithReference(seed: UInt64) throws {
    for exchange in ExchangeKind.allCases {
      var test = SequenceCase(seed: seed, mostTokens: seed % 10 == 9 ? 300 : 24)
      let channels = [1, 5, 40].randomElement(using: &test.random)!
      let restarts = Bool.random(using: &test.random)
      let (x, dy) = (test.numbers(channels), test.numbers(channels))
      let result = try test.run(
        x: x, columns: channels, dy: dy, outputs: channels, exchange: exchange
      ) { tape, x, pass in
        try tape.runningSum(
          x, restarts: restarts, slot: CarrySlot(layer: 3, .state(1)), pass: pass)
      }
      let right = Self.reference(test, channels, x: x, dy: dy, restarts: restarts)
      #expect(distance(result.y, right.y) < 1e-6, "\(exchange): \(test)")
      #expect(distance(result.dx, right.dx) < 1e-6, "\(exchange): \(test)")
    }
  }

  @Test(
    "Angles stay within half a turn and keep their digits over many turns",
    arguments: 100..<120 as Range<UInt64>)
  func angles(seed: UInt64) throws {
    for exchange in ExchangeKind.allCases {
      var test = SequenceCase(seed: seed, mostTokens: 400)
      let dy = test.numbers(2)
      let x = test.numbers(2).map { 3 * $0 + 2 }
      let result = try test.run(x: x, columns: 2, dy: dy, outputs: 2, exchange: exchange) {
        tape, x, pass in
        try tape.runningSum(
          x, period: 2 * .pi, slot: CarrySlot(layer: 0, .state(1)), pass: pass)
      }
      let right = Self.reference(test, 2, x: x, dy: dy, restarts: true)
      let worst = zip(result.y, right.y).map {
        abs((Double($0) - $1).remainder(dividingBy: 2 * .pi))
      }.max()!
      #expect(worst < 2e-6, "\(exchange): \(test)")
      #expect(result.y.allSatisfy { abs($0) <= 3.141_593 })
      #expect(distance(result.dx, right.dx) < 1e-6, "\(exchange): \(test)")
    }
  }

  @Test("Running again sends nothing; what is sent does not depend on the length")
  func messages() throws {
    for seed in 200..<206 as Range<UInt64> {
      var test = SequenceCase(seed: seed)
      let (x, dy) = (test.numbers(4), test.numbers(4))
      func run(recomputes: Bool, runsTwice: Bool) throws -> SequenceCase.Result {
        try test.run(
          x: x, columns: 4, dy: dy, outputs: 4, recomputes: recomputes, runsTwice: runsTwice
        ) { tape, x, pass in
          try tape.runningSum(x, slot: CarrySlot(layer: 0, .state(0)), pass: pass)
        }
      }
      let once = try run(recomputes: false, runsTwice: false)
      for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
        let again = try run(recomputes: recomputes, runsTwice: runsTwice)
        #expect(once.stateBytes == again.stateBytes && once.messages == again.messages, "\(test)")
        #expect(once.y == again.y && once.dx == again.dx, "\(test)")
      }
      // Each segment's sums go to the next rank, and gradients back; carries between segments are packed with
      // their names and extents.
      if test.segments.count == 1 {
        for rank in 0..<test.ranks {
          let directions = (rank < test.ranks - 1 ? 1 : 0) + (rank > 0 ? 1 : 0)
          #expect(once.stateBytes[rank] == 4 * test.rows * 4 * directions, "\(test)")
        }
      }
    }
  }
}
