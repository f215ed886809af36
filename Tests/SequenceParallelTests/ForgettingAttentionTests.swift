import Autodiff
import Foundation
import SequenceParallel
import Tensors
import Testing

/// A random layer of attention that forgets.
private struct ForgettingCase {
  var test: SequenceCase
  let dimension, heads, keyHeads: Int
  let exchange: AttentionExchange
  let states: ExchangeKind
  let regime: String

  init(_ exchange: AttentionExchange, seed: UInt64, mostTokens: Int = 24) {
    test = SequenceCase(seed: seed, mostTokens: mostTokens)
    dimension = [2, 8, 20].randomElement(using: &test.random)!
    keyHeads = Int.random(in: 1...2, using: &test.random)
    heads = keyHeads * Int.random(in: 1...3, using: &test.random)
    self.exchange = exchange
    states = ExchangeKind.allCases.randomElement(using: &test.random)!
    regime = ["slow", "middling", "fast", "resets", "mixed"].randomElement(using: &test.random)!
  }

  var outputs: Int { heads * dimension }
  /// Queries, keys, values, log gates.
  var columns: Int { (heads + 2 * keyHeads) * dimension + heads }
  var scale: Double { 1 / Double(dimension).squareRoot() }

  /// Random inputs, with log gates as the regime says.
  mutating func inputs() -> [Float] {
    var x = test.numbers(columns)
    for token in 0..<test.rows * test.tokens {
      for head in 0..<heads {
        let u = Float.random(in: 0...1, using: &test.random)
        let mixed: [Float] = [0, -0.001, -0.5, -5, -50, -1000]
        x[(token + 1) * columns - heads + head] =
          switch regime {
          case "slow": -0.02 * u
          case "middling": -0.5 * u
          case "fast": -4 * u
          case "resets": u < 0.05 ? -.infinity : -0.1 * u
          default: mixed.randomElement(using: &test.random)!
          }
      }
    }
    return x
  }

  func run(x: [Float], dy: [Float], recomputes: Bool? = nil, runsTwice: Bool = false) throws
    -> SequenceCase.Result
  {
    let (outputs, width, columns) = (outputs, keyHeads * dimension, columns)
    return try test.run(
      x: x, columns: columns, dy: dy, outputs: outputs, exchange: states,
      recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      try tape.attention(
        q: tape.columns(x, 0..<outputs), k: tape.columns(x, outputs..<outputs + width),
        v: tape.columns(x, outputs + width..<outputs + 2 * width),
        logGates: tape.columns(x, outputs + 2 * width..<columns), dimension: dimension,
        exchange: exchange, slot: CarrySlot(layer: 2, .window), pass: pass)
    }
  }

  /// The same a pair at a time, in Double, over whole sequences.
  func reference(x: [Float], dy: [Float]) -> (y: [Double], dx: [Double]) {
    let (d, tokens) = (dimension, test.tokens)
    var y = dy.map { _ in 0.0 }
    var dx = x.map { _ in 0.0 }
    let x = x.map(Double.init)
    for row in 0..<test.rows {
      for head in 0..<heads {
        let key = head / (heads / keyHeads)
        func at(_ token: Int, _ head: Int) -> Int { (row * tokens + token) * columns + head * d }
        func gate(_ token: Int) -> Int { (row * tokens + token + 1) * columns - heads + head }
        func dot(_ a: Int, _ b: [Double]) -> Double {
          (0..<d).reduce(0) { $0 + x[a + $1] * b[$1] }
        }
        for t in 0..<tokens {
          let q = Array(x[at(t, head)..<at(t, head) + d])
          let seen = (0...t).filter { test.isSameDocument(row, $0, t) }
          let scores = seen.map { j in
            scale * dot(at(j, heads + key), q) + (j..<t).reduce(0) { $0 + x[gate($1 + 1)] }
          }
          let most = scores.max()!
          let weights = scores.map { exp($0 - most) }
          let sum = weights.reduce(0, +)
          let out = (row * tokens + t) * outputs + head * d
          let dO = (0..<d).map { Double(dy[out + $0]) }
          let dp = seen.map { dot(at($0, heads + keyHeads + key), dO) }
          let mean = zip(weights, dp).reduce(0) { $0 + $1.0 * $1.1 } / sum
          for (index, j) in seen.enumerated() {
            let p = weights[index] / sum
            let ds = p * (dp[index] - mean)
            for i in 0..<d {
              y[out + i] += p * x[at(j, heads + keyHeads + key) + i]
              dx[at(t, head) + i] += scale * ds * x[at(j, heads + key) + i]
              dx[at(j, heads + key) + i] += scale * ds * q[i]
              dx[at(j, heads + keyHeads + key) + i] += p * dO[i]
            }
            for l in j..<t { dx[gate(l + 1)] += ds }
          }
        }
      }
    }
    return (y, dx)
  }

  /// The gradients of the log gates alone.
  func gates<Number>(_ dx: [Number]) -> [Number] {
    dx.indices.filter { $0 % columns >= columns - heads }.map { dx[$0] }
  }
}

@Suite("Attention that forgets")
struct ForgettingAttentionTests {
  @Test(
    "Any partition, documents and carries give what pairs give one by one",
    arguments: AttentionExchange.allCases, 0..<60 as Range<UInt64>)
  func agreesWithReference(exchange: AttentionExchange, seed: UInt64) throws {
    var test = ForgettingCase(exchange, seed: seed, mostTokens: seed % 15 == 14 ? 160 : 24)
    let (x, dy) = (test.inputs(), test.test.numbers(test.outputs))
    let result = try test.run(x: x, dy: dy)
    let expected = test.reference(x: x, dy: dy)
    #expect(distance(result.y, expected.y) < 1e-5, "\(test)")
    #expect(distance(result.dx, expected.dx) < 1e-5, "\(test)")
    // Where gates forget all, their gradients are next to nothing beside the others'.
    let (gates, right) = (test.gates(result.dx), test.gates(expected.dx))
    func norm(_ numbers: [Double]) -> Double { numbers.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let error = norm(zip(gates, right).map { Double($0) - $1 })
    #expect(error < 1e-5 * max(norm(right), 0.05 * norm(expected.dx)), "\(test)")
  }

  @Test(
    "Running a region or a segment again, or both, sends nothing",
    arguments: AttentionExchange.allCases, 100..<110 as Range<UInt64>)
  func recomputationIsSilent(exchange: AttentionExchange, seed: UInt64) throws {
    var test = ForgettingCase(exchange, seed: seed)
    let (x, dy) = (test.inputs(), test.test.numbers(test.outputs))
    let once = try test.run(x: x, dy: dy, recomputes: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try test.run(x: x, dy: dy, recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
    }
  }

  /// What each rank sends of `length` tokens a rank: keys and values, with a log gate for each head, and states.
  private static func bytes(
    length: Int, ranks: Int, gates: Int, exchange: AttentionExchange, states: ExchangeKind
  ) throws -> SequenceCase.Result {
    let (heads, keys, d) = (4, 2, 6)
    var test = SequenceCase(seed: 1)
    (test.ranks, test.rows) = (ranks, 2)
    test.segments = [[Int](repeating: length, count: ranks)]
    test.starts = [[], []]
    let columns = (heads + 2 * keys) * d + heads
    // No gate is above 1.
    let x = test.numbers(columns).map { -abs($0) }
    return try test.run(
      x: x, columns: columns, dy: test.numbers(heads * d), outputs: heads * d, exchange: states,
      recomputes: false
    ) { tape, x, pass in
      try tape.attention(
        q: tape.columns(x, 0..<heads * d), k: tape.columns(x, heads * d..<(heads + keys) * d),
        v: tape.columns(x, (heads + keys) * d..<(heads + 2 * keys) * d),
        logGates: gates == 0 ? nil : tape.columns(x, columns - gates..<columns), dimension: d,
        exchange: exchange, slot: CarrySlot(layer: 2, .window), pass: pass)
    }
  }

  @Test(
    "Gates take a number a head beside each token's keys and values, and h numbers whatever the length",
    arguments: AttentionExchange.allCases, ExchangeKind.allCases)
  func bytesOnTheWire(exchange: AttentionExchange, states: ExchangeKind) throws {
    let (rows, heads, columns) = (2, 4, 12)
    for ranks in [1, 2, 3, 5] {
      for length in [1, 7, 90] {
        func sent(gates: Int) throws -> SequenceCase.Result {
          try Self.bytes(
            length: length, ranks: ranks, gates: gates, exchange: exchange, states: states)
        }
        let (plain, forgetting) = (try sent(gates: 0), try sent(gates: heads))
        for rank in 0..<ranks {
          let header = 16 + rows
          // Blocks of a rank's keys and values that it sends or passes on, and those of gradients.
          let (blocks, gradients) =
            exchange == .ring
            ? (rank < ranks - 1 ? rank + 1 : 0, rank) : (ranks - 1, ranks - 1)
          func expected(_ token: Int, tails: Int) -> Int {
            let block = rows * length * token
            let head = exchange == .ring ? 16 : 0
            return 4 * (2 * blocks * (header + tails + block) + gradients * (head + block))
          }
          #expect(plain.bytes[rank] == expected(2 * columns, tails: 0))
          #expect(plain.stateBytes[rank] == 0)
          // The suffix of the gates' gradients, in messages with headers.
          let suffixes =
            switch states {
            case .chain: rank > 0 ? 1 : 0
            case .gather: ranks - 1
            case .scan: [1, 2, 4].count { rank - $0 >= 0 }
            }
          #expect(forgetting.stateBytes[rank] == 4 * rows * heads * suffixes)
          // A tile of a gather says the sums of the gates behind it.
          let tails = exchange == .gather ? rows * heads : 0
          #expect(
            forgetting.bytes[rank]
              == expected(2 * columns + heads, tails: tails) + 4 * 16 * suffixes)
        }
      }
    }
  }

  @Test(
    "After thousands of tokens, neighbours still have the digits between them",
    arguments: AttentionExchange.allCases)
  func longSequence(exchange: AttentionExchange) throws {
    // Queries and keys are alike, so that outputs are sums of what gates leave: o_t = Σ e^{F_t − F_j} v_j / Σ e^{F_t − F_j}.
    let (tokens, ranks) = (6000, 3)
    var random = SplitMix(state: 3)
    let gates = (0..<tokens).map { _ in -Float.random(in: 0...2, using: &random) }
    let values = (0..<tokens).map { _ in Float.random(in: -1...1, using: &random) }
    var (above, below) = (0.0, 0.0)
    let expected = zip(gates, values).map { gate, value in
      (above, below) = (above * exp(Double(gate)) + Double(value), below * exp(Double(gate)) + 1)
      return above / below
    }
    var test = SequenceCase(seed: 1)
    test.ranks = ranks
    test.rows = 1
    test.segments = [[1999, 2001, 2000]]
    test.starts = [[]]
    let x = zip(gates, values).flatMap { gate, value -> [Float] in [0, 0, value, gate] }
    let result = try test.run(
      x: x, columns: 4, dy: values, outputs: 1, recomputes: false
    ) { tape, x, pass in
      try tape.attention(
        q: tape.columns(x, 0..<1), k: tape.columns(x, 1..<2), v: tape.columns(x, 2..<3),
        logGates: tape.columns(x, 3..<4), dimension: 1, exchange: exchange,
        slot: CarrySlot(layer: 0, .window), pass: pass)
    }
    #expect(distance(result.y, expected) < 1e-6)
  }
}
