import Foundation
import Autodiff
import Kernels
import SequenceParallel
import Tensors
import Testing

/// An mLSTM a token at a time, in Double, over whole sequences: one head's outputs and gradients.
///
/// Sums are held divided by `e^m`, and gradients are taken with every maximum held constant, to which its own gradient,
/// that of ε, is added: the definition itself.
private struct MLSTMReference {
  let tokens, keys, values: Int
  let scale, epsilon: Double
  /// `[T, K]`, `[T, K]`, `[T, V]`, `[T]`, `[T]` and `[T, V]`.
  let q, k, v, f, i, dO: [Double]
  let starts: [Int]

  func run() -> (h: [Double], dq: [Double], dk: [Double], dv: [Double], df: [Double], di: [Double])
  {
    let (T, K, V, W) = (tokens, keys, values, values + 1)
    var (S, m) = ([Double](repeating: 0, count: K * W), 0.0)
    var states: [[Double]] = []
    var before: [(state: [Double], maximum: Double)] = []
    var (maxima, isOwn) = ([Double](), [Bool]())
    var h = [Double](repeating: 0, count: T * V)
    var (d, denominator) = ([Double](), [Double]())
    func value(_ t: Int, _ x: Int) -> Double { x < V ? v[t * V + x] : 1 }
    for t in 0..<T {
      if starts.contains(t) { (S, m) = (S.map { _ in 0 }, 0) }
      before.append((S, m))
      let next = max(f[t] + m, i[t])
      isOwn.append(i[t] > f[t] + m)
      let (kept, written) = (exp(f[t] + m - next), exp(i[t] - next))
      for c in 0..<K {
        for x in 0..<W { S[c * W + x] = kept * S[c * W + x] + written * k[t * K + c] * value(t, x) }
      }
      m = next
      states.append(S)
      maxima.append(m)
      let n = (0..<W).map { x in
        (0..<K).reduce(0) { $0 + scale * q[t * K + $1] * S[$1 * W + x] }
      }
      d.append(n[V])
      denominator.append(max(abs(n[V]), exp(-m)) + epsilon)
      for x in 0..<V { h[t * V + x] = n[x] / denominator[t] }
    }
    var (dS, dm) = ([Double](repeating: 0, count: K * W), 0.0)
    var (dq, dk) = ([Double](repeating: 0, count: T * K), [Double](repeating: 0, count: T * K))
    var dv = [Double](repeating: 0, count: T * V)
    var (df, di) = ([Double](repeating: 0, count: T), [Double](repeating: 0, count: T))
    for t in (0..<T).reversed() {
      let s = (0..<V).reduce(0) { $0 + dO[t * V + $1] * h[t * V + $1] }
      var dN = (0..<V).map { dO[t * V + $0] / denominator[t] }
      dN.append(
        abs(d[t]) > exp(-maxima[t]) ? -s / denominator[t] * (d[t] < 0 ? -1 : 1) : 0)
      dm -= s * epsilon / denominator[t]
      let kept = exp(f[t] + before[t].maximum - maxima[t])
      let written = exp(i[t] - maxima[t])
      for c in 0..<K {
        for x in 0..<W {
          let at = c * W + x
          dq[t * K + c] += scale * states[t][at] * dN[x]
          dS[at] += scale * q[t * K + c] * dN[x]
          dk[t * K + c] += written * dS[at] * value(t, x)
          if x < V { dv[t * V + x] += written * dS[at] * k[t * K + c] }
          di[t] += written * dS[at] * k[t * K + c] * value(t, x)
          df[t] += kept * dS[at] * before[t].state[at]
          dS[at] *= kept
        }
      }
      if isOwn[t] {
        di[t] += dm
        dm = 0
      } else {
        df[t] += dm
      }
      if starts.contains(t) { (dS, dm) = (dS.map { _ in 0 }, 0) }
    }
    return (h, dq, dk, dv, df, di)
  }
}

@Suite("The mLSTM over any partition")
struct StabilisedRecurrenceTests {
  /// Gates of a token: input gates up to ±15, forget gates down to −∞.
  private static func gates(
    _ regime: Int, _ random: inout SplitMix
  ) -> (input: Float, forget: Float) {
    func uniform() -> Float { Float.random(in: 0...1, using: &random) }
    let isRare = uniform() < 0.1
    return switch regime {
    case 0: (2 * uniform() - 1, -0.05 * uniform())
    case 1: (15 * (2 * uniform() - 1), -2 * uniform())
    case 2: (-10 - 5 * uniform(), -0.1 * uniform())
    case 3: (15 - 3 * uniform(), isRare ? -30 : -0.1 * uniform())
    case 4: (uniform(), isRare ? -.infinity : -0.1 * uniform())
    default: (4 * uniform() - 2, isRare ? -1000 : -8 - uniform())
    }
  }

  /// Inputs of all tokens beside each other, `q k v f i` of each head.
  private struct Inputs {
    let heads, keys, values: Int
    var columns: Int { heads * (2 * keys + values + 2) }
    var x: [Float]

    func column(_ part: Int) -> Range<Int> {
      let bounds = [keys, keys, values, 1, 1].reduce(into: [0]) { $0.append($0.last! + heads * $1) }
      return bounds[part]..<bounds[part + 1]
    }
  }

  private static func inputs(_ test: inout SequenceCase) -> Inputs {
    func pick(_ numbers: [Int]) -> Int { numbers.randomElement(using: &test.random)! }
    var inputs = Inputs(
      heads: pick([1, 2]), keys: pick([2, 3, 8, 17]), values: pick([3, 8, 16, 17]), x: [])
    let regime = pick([0, 1, 2, 3, 4, 5])
    for _ in 0..<test.rows * test.tokens {
      // Queries and keys that are all positive: denominators that nearly vanish would have no digits.
      let numbers = (0..<inputs.heads * 2 * inputs.keys).map { _ in
        Float.random(in: 0.05...1, using: &test.random)
      }
      let values = (0..<inputs.heads * inputs.values).map { _ in
        Float.random(in: -1...1, using: &test.random)
      }
      let gates = (0..<inputs.heads).map { _ in Self.gates(regime, &test.random) }
      // Where no gate is strong, a small key makes |d| fall below e^−m.
      let share: Float = Float.random(in: 0...1, using: &test.random) < 0.3 ? 0.05 : 1
      inputs.x +=
        numbers.enumerated().map { $0 < inputs.heads * inputs.keys ? $1 * share : $1 } + values
        + gates.map(\.forget) + gates.map(\.input)
    }
    return inputs
  }

  private static func run(
    _ test: SequenceCase, _ inputs: Inputs, dy: [Float], exchange: ExchangeKind = .chain,
    epsilon: Float = 1e-6, recomputes: Bool? = nil, runsTwice: Bool = false
  ) throws -> SequenceCase.Result {
    let kernel = MLSTMRecurrence(
      keyDimension: inputs.keys, valueDimension: inputs.values, scale: 0.5, epsilon: epsilon,
      chunkLength: 16)
    return try test.run(
      x: inputs.x, columns: inputs.columns, dy: dy, outputs: inputs.heads * inputs.values,
      exchange: exchange, recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      func part(_ index: Int) -> Variable { tape.columns(x, inputs.column(index)) }
      return try tape.recurrence(
        kernel,
        RecurrenceInputs(q: part(0), k: part(1), v: part(2), g: part(3), beta: part(4)),
        slot: CarrySlot(layer: 2, .state(0)), pass: pass)
    }
  }

  @Test(
    "Outputs and all gradients are those of the definition", arguments: 0..<48 as Range<UInt64>)
  func reference(seed: UInt64) throws {
    var test = SequenceCase(seed: seed, mostTokens: seed % 6 == 5 ? 150 : 24)
    let inputs = Self.inputs(&test)
    let dy = test.numbers(inputs.heads * inputs.values)
    // A large ε shows what it does to gradients.
    let epsilon: Float = seed % 3 == 0 ? 0.1 : 1e-6
    let (y, dx) = Self.expected(test, inputs, dy: dy, epsilon: Double(epsilon))
    for exchange in ExchangeKind.allCases {
      let result = try Self.run(test, inputs, dy: dy, exchange: exchange, epsilon: epsilon)
      #expect(distance(result.y, y) < 1e-5, "\(exchange): \(test)")
      for part in 0..<5 {
        let columns = Set(inputs.column(part))
        func own<Number>(_ numbers: [Number]) -> [Number] {
          numbers.indices.filter { columns.contains($0 % inputs.columns) }.map { numbers[$0] }
        }
        #expect(
          distance(own(result.dx), own(dx)) < 2e-5, "input \(part), \(exchange): \(test)")
      }
    }
  }

  private static func expected(
    _ test: SequenceCase, _ inputs: Inputs, dy: [Float], epsilon: Double
  ) -> (y: [Double], dx: [Double]) {
    let outputs = inputs.heads * inputs.values
    var y = [Double](repeating: 0, count: dy.count)
    var dx = [Double](repeating: 0, count: inputs.x.count)
    for row in 0..<test.rows {
      for head in 0..<inputs.heads {
        func places(_ part: Int, _ width: Int) -> [Int] {
          (0..<test.tokens).flatMap { token in
            (0..<width).map {
              (row * test.tokens + token) * inputs.columns + inputs.column(part).lowerBound
                + head * width + $0
            }
          }
        }
        let outs = (0..<test.tokens).flatMap { token in
          (0..<inputs.values).map {
            (row * test.tokens + token) * outputs + head * inputs.values + $0
          }
        }
        let (K, V) = (inputs.keys, inputs.values)
        let parts = [places(0, K), places(1, K), places(2, V), places(3, 1), places(4, 1)]
        func numbers(_ part: Int) -> [Double] { parts[part].map { Double(inputs.x[$0]) } }
        let result = MLSTMReference(
          tokens: test.tokens, keys: K, values: V, scale: 0.5, epsilon: epsilon, q: numbers(0),
          k: numbers(1), v: numbers(2), f: numbers(3), i: numbers(4),
          dO: outs.map { Double(dy[$0]) }, starts: test.starts[row]
        ).run()
        for (place, number) in zip(outs, result.h) { y[place] = number }
        let gradients = [result.dq, result.dk, result.dv, result.df, result.di]
        for (places, numbers) in zip(parts, gradients) {
          for (place, number) in zip(places, numbers) { dx[place] = number }
        }
      }
    }
    return (y, dx)
  }

  @Test(
    "Running again sends nothing and gives the same bits", arguments: 100..<108 as Range<UInt64>)
  func repeats(seed: UInt64) throws {
    var test = SequenceCase(seed: seed)
    let inputs = Self.inputs(&test)
    let dy = test.numbers(inputs.heads * inputs.values)
    let once = try Self.run(test, inputs, dy: dy, recomputes: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try Self.run(
        test, inputs, dy: dy, recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.stateBytes == again.stateBytes && once.messages == again.messages, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
    }
  }

  @Test("What is sent is what the formulas say, whatever the length")
  func bytes() throws {
    for seed in 200..<230 as Range<UInt64> {
      var test = SequenceCase(seed: seed, mostTokens: seed % 2 == 0 ? 12 : 90)
      guard test.segments.count == 1 else { continue }
      let inputs = Self.inputs(&test)
      let dy = test.numbers(inputs.heads * inputs.values)
      let states = test.rows * inputs.heads * (inputs.keys * (inputs.values + 1) + 1)
      let maps = test.rows * inputs.heads
      let ranks = test.ranks
      let chain = try Self.run(test, inputs, dy: dy)
      let gather = try Self.run(test, inputs, dy: dy, exchange: .gather)
      let scan = try Self.run(test, inputs, dy: dy, exchange: .scan)
      for rank in 0..<ranks {
        let directions = (rank < ranks - 1 ? 1 : 0) + (rank > 0 ? 1 : 0)
        #expect(chain.stateBytes[rank] == 4 * states * directions, "\(test)")
        #expect(gather.stateBytes[rank] == 4 * (ranks - 1) * 2 * (states + maps), "\(test)")
        let messages = [1, 2, 4].count { rank + $0 < ranks } + [1, 2, 4].count { rank - $0 >= 0 }
        #expect(scan.stateBytes[rank] == 4 * messages * (states + maps), "\(test)")
      }
    }
  }
}
