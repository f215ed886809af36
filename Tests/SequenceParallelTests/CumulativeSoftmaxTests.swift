import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Testing

@Suite("Softmax over all tokens so far")
struct CumulativeSoftmaxTests {
  private static let (heads, K) = (2, 3)
  private static var columns: Int { heads * K }

  /// Writes and decays into a state whose queries and values are the logits, too: all that goes back meets in `dx`.
  @Sendable private static func op(
    _ tape: Tape, _ x: Variable, _ pass: SequencePass
  ) throws -> Variable {
    let state = CarrySlot(layer: 3, .state(0))
    let (k, g) = try tape.cumulativeSoftmax(
      x, keyDimension: K, slot: CarrySlot(layer: 3, .state(1)), decaying: state, pass: pass)
    return try tape.recurrence(
      DiagonalRecurrence(.vector, keyDimension: K, valueDimension: K),
      RecurrenceInputs(q: x, k: k, v: x, g: g), slot: state, pass: pass)
  }

  /// `o_t = Σ_d x_td Σ_j softmax_j(x_jd) x_j` over the document's tokens so far, in Double, and its gradient.
  private static func reference(
    _ test: SequenceCase, x: [Float], dy: [Float]
  ) -> (y: [Double], dx: [Double]) {
    var (y, dx) = ([Double](repeating: 0, count: x.count), [Double](repeating: 0, count: x.count))
    for row in 0..<test.rows {
      for head in 0..<heads {
        for t in 0..<test.tokens {
          func at(_ token: Int, _ d: Int) -> Int {
            (row * test.tokens + token) * columns + head * K + d
          }
          func number(_ token: Int, _ d: Int) -> Double { Double(x[at(token, d)]) }
          let seen = (0...t).filter { test.isSameDocument(row, $0, t) }
          for d in 0..<K {
            let most = seen.map { number($0, d) }.max()!
            let shares = seen.map { exp(number($0, d) - most) }
            let total = shares.reduce(0, +)
            var (mean, products) = (0.0, [Double]())
            for (j, share) in zip(seen, shares.map { $0 / total }) {
              var product = 0.0
              for v in 0..<K {
                y[at(t, v)] += number(t, d) * share * number(j, v)
                product += Double(dy[at(t, v)]) * number(j, v)
                dx[at(j, v)] += share * number(t, d) * Double(dy[at(t, v)])
              }
              products.append(product)
              mean += share * product
            }
            dx[at(t, d)] += mean
            for (index, j) in seen.enumerated() {
              dx[at(j, d)] += shares[index] / total * number(t, d) * (products[index] - mean)
            }
          }
        }
      }
    }
    return (y, dx)
  }

  @Test("any partition, documents, segments and exchange", arguments: 0..<60 as Range<UInt64>)
  func agreesWithReference(seed: UInt64) throws {
    for exchange in ExchangeKind.allCases {
      var test = SequenceCase(seed: seed, mostTokens: seed % 10 == 9 ? 150 : 24)
      // Up to logits before which all others vanish.
      let width: Float = [1, 5, 40, 200].randomElement(using: &test.random)!
      let x = test.numbers(Self.columns).map { width * $0 }
      let dy = test.numbers(Self.columns)
      let result = try test.run(
        x: x, columns: Self.columns, dy: dy, outputs: Self.columns, exchange: exchange, op: Self.op)
      let right = Self.reference(test, x: x, dy: dy)
      #expect(distance(result.y, right.y) < 1e-5, "\(exchange), width \(width): \(test)")
      #expect(distance(result.dx, right.dx) < 1e-5, "\(exchange), width \(width): \(test)")
    }
  }

  @Test("What is sent is what the formulas say; running again sends nothing")
  func messages() throws {
    for seed in 200..<212 as Range<UInt64> {
      for exchange in ExchangeKind.allCases {
        var test = SequenceCase(seed: seed)
        let (x, dy) = (test.numbers(Self.columns), test.numbers(Self.columns))
        func run(recomputes: Bool, runsTwice: Bool) throws -> SequenceCase.Result {
          try test.run(
            x: x, columns: Self.columns, dy: dy, outputs: Self.columns, exchange: exchange,
            recomputes: recomputes, runsTwice: runsTwice, op: Self.op)
        }
        let once = try run(recomputes: false, runsTwice: false)
        for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
          let again = try run(recomputes: recomputes, runsTwice: runsTwice)
          #expect(
            once.stateBytes == again.stateBytes && once.messages == again.messages,
            "\(exchange): \(test)")
          #expect(once.y == again.y && once.dx == again.dx, "\(exchange): \(test)")
        }
        guard test.segments.count == 1 else { continue }
        let units = 4 * test.rows * Self.heads
        for rank in 0..<test.ranks {
          // z by itself has no maps to be sent: the layout tells them, and back it goes by the state's.
          let expected =
            exchange.bytesSent(
              states: units * Self.K * Self.K, maps: units * Self.K, rank: rank, ranks: test.ranks)
            + exchange.bytesSent(
              states: units * Self.K, maps: 0, rank: rank, ranks: test.ranks)
          #expect(once.stateBytes[rank] == expected, "\(exchange), rank \(rank): \(test)")
        }
      }
    }
  }
}
