import Foundation
import Kernels
import Tensors
import Testing

/// One head over several tiles, with windows and documents, its keys cut into blocks anyhow.
private struct HeadCase {
  /// Tokens, numbers of a key, numbers of a value.
  let tokens, dimension, valueDimension: Int
  let scale: Float = 0.4
  let cuts: [Int]
  let lowest: [Int32]
  /// q and k, `[tokens, dimension]` each; v and dO, `[tokens, valueDimension]`.
  let numbers: [[Float]]

  /// - Parameter rounds: Whether its numbers are such as bf16 has.
  init(seed: UInt64, rounds: Bool = false) {
    var random = Mix(state: seed)
    let tokens = Int.random(in: 1...300, using: &random)
    self.tokens = tokens
    dimension = [1, 7, 16, 33, 64, 128].randomElement(using: &random)!
    valueDimension =
      seed % 2 == 0 ? dimension : [1, 7, 16, 33, 64, 128].randomElement(using: &random)!
    cuts =
      [0]
      + (0..<Int.random(in: 0...3, using: &random)).map { _ in
        Int.random(in: 0...tokens, using: &random)
      }.sorted() + [tokens]
    let window = [1, 3, 70, 1000].randomElement(using: &random)!
    let starts = (0..<3).map { _ in Int.random(in: 0..<tokens, using: &random) }
    lowest = (0..<tokens).map { t in
      Int32(max(0, t - window + 1, starts.filter { $0 <= t }.max() ?? 0))
    }
    let widths = [dimension, dimension, valueDimension, valueDimension]
    var numbers = widths.map { width in
      (0..<tokens * width).map { _ in Float.random(in: -2...2, using: &random) }
    }
    if rounds {
      for i in numbers.indices {
        BFloat16.round(numbers[i], keepingWidth: &numbers[i], count: tokens * widths[i])
      }
    }
    self.numbers = numbers
  }

  /// Three tokens whose queries see one key as good as alone.
  init(saturated seed: UInt64) {
    var random = Mix(state: seed)
    (tokens, dimension, valueDimension) = (3, 16, 16)
    (cuts, lowest) = ([0, 3], [0, 0, 0])
    numbers = [4, 2, 2, 2].map { (range: Float) in
      (0..<3 * 16).map { _ in Float.random(in: -range...range, using: &random) }
    }
  }

  /// o, dq, dk, dv a token at a time, in Double.
  var reference: [[Double]] {
    let (d, e) = (dimension, valueDimension)
    let x = numbers.map { $0.map(Double.init) }
    func dot(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
      let d = a.count / tokens
      return (0..<d).reduce(0) { $0 + a[i * d + $1] * b[j * d + $1] }
    }
    var r = [e, d, d, e].map { [Double](repeating: 0, count: tokens * $0) }
    for t in 0..<tokens {
      let seen = Int(lowest[t])...t
      let scores = seen.map { Double(scale) * dot(x[0], t, x[1], $0) }
      let weights = scores.map { exp($0 - scores.max()!) }
      let total = weights.reduce(0, +)
      let dp = seen.map { dot(x[3], t, x[2], $0) }
      let mean = zip(weights, dp).reduce(0) { $0 + $1.0 * $1.1 } / total
      for (index, j) in seen.enumerated() {
        let p = weights[index] / total
        let ds = Double(scale) * p * (dp[index] - mean)
        for i in 0..<d {
          r[1][t * d + i] += ds * x[1][j * d + i]
          r[2][j * d + i] += ds * x[0][t * d + i]
        }
        for i in 0..<e {
          r[0][t * e + i] += p * x[2][j * e + i]
          r[3][j * e + i] += p * x[3][t * e + i]
        }
      }
    }
    return r
  }

  /// The same by the kernel, block after block in the given order.
  func run(blocks order: [Int], operands: Operand.Kind = .float) -> [[Float]] {
    let kernel = SoftmaxAttention(
      dimension: dimension, valueDimension: valueDimension, scale: scale, operands: operands)
    let (d, e) = (dimension, valueDimension)
    func room(_ numbers: [Float]) -> UnsafeMutablePointer<Float> {
      let room = UnsafeMutablePointer<Float>.allocate(capacity: max(numbers.count, 1))
      for (index, x) in numbers.enumerated() { room[index] = x }
      return room
    }
    let inputs = numbers.map(room)
    let counts = [e, d, d, e].map { tokens * $0 }
    let outputs = counts.map { room([Float](repeating: 0, count: $0)) }
    let work = [tokens, tokens, tokens, kernel.scratchCount].map {
      room([Float](repeating: .nan, count: $0))
    }
    defer { (inputs + outputs + work).forEach { $0.deallocate() } }
    func rows(_ x: UnsafeMutablePointer<Float>, _ width: Int) -> TokenRows {
      TokenRows(x, stride: width)
    }
    func target(_ x: UnsafeMutablePointer<Float>, _ width: Int) -> MutableTokenRows {
      MutableTokenRows(x, stride: width)
    }
    lowest.withUnsafeBufferPointer { lowest in
      let queries = SoftmaxAttention.Queries(
        rows(inputs[0], d), tokens: tokens, first: 0, lowest: lowest.baseAddress!)
      let sums = SoftmaxAttention.Sums(o: target(outputs[0], e), maximum: work[0], sum: work[1])
      let tiles = 0..<SoftmaxAttention.tiles(tokens)
      func keys(_ block: Int) -> SoftmaxAttention.Keys {
        let first = cuts[block]
        return SoftmaxAttention.Keys(
          rows(inputs[1] + first * d, d), rows(inputs[2] + first * e, e),
          tokens: cuts[block + 1] - first, first: first)
      }
      kernel.begin(sums, tokens: 0..<tokens)
      for block in order {
        kernel.absorb(keys(block), queries, into: sums, tiles: tiles, scratch: work[3])
      }
      kernel.finish(sums, tokens: 0..<tokens)
      kernel.deltas(
        rows(outputs[0], e), rows(inputs[3], e), into: work[2], tokens: 0..<tokens)
      let gradients = SoftmaxAttention.Gradients(
        dO: rows(inputs[3], e), dq: target(outputs[1], d), logSum: work[0], delta: work[2],
        sumsToOne: true)
      for block in order {
        let place = cuts[block]
        kernel.backward(
          keys(block), queries, gradients, dk: target(outputs[2] + place * d, d),
          dv: target(outputs[3] + place * e, e), tiles: tiles, scratch: work[3])
      }
    }
    return zip(outputs, counts).map { Array(UnsafeBufferPointer(start: $0, count: $1)) }
  }
}

@Suite struct SoftmaxAttentionTests {
  @Test("blocks of keys in any order give what a token at a time gives", arguments: 0..<40)
  func agreesWithReference(seed: UInt64) {
    let test = HeadCase(seed: seed)
    let expected = test.reference
    let blocks = Array(0..<test.cuts.count - 1)
    for order in [blocks, blocks.reversed()] {
      let result = test.run(blocks: order)
      #expect(distance(result[0], expected[0]) < 1e-5, "o of seed \(seed)")
      // Together: where a query sees one key only, the gradients of both are exactly 0.
      #expect(
        distance(Array(result[1...].joined()), Array(expected[1...].joined())) < 1e-5,
        "gradients of seed \(seed)")
    }
  }

  @Test("gradients keep their digits where one key has almost all of the sum", arguments: 0..<10)
  func keepsDigitsOfSaturatedSums(seed: UInt64) {
    let test = HeadCase(saturated: seed)
    let (expected, result) = (test.reference, test.run(blocks: [0]))
    for (index, name) in [(1, "dq"), (2, "dk")] {
      #expect(distance(result[index], expected[index]) < 1e-5, "\(name) of seed \(seed)")
    }
    let only = result[1].prefix(test.dimension)
    #expect(only.allSatisfy { $0 == 0 }, "the gradient of a query that sees one key is 0")
  }

  @Test(
    "products of bf16 are off by what their operands are rounded by", arguments: 0..<40)
  func rounds(seed: UInt64) {
    let test = HeadCase(seed: seed, rounds: true)
    let expected = test.reference
    let blocks = Array(0..<test.cuts.count - 1)
    for order in [blocks, blocks.reversed()] {
      let result = test.run(blocks: order, operands: .bfloat16)
      // Probabilities and their gradients are rounded, by 2⁻⁹ each.
      #expect(distance(result[0], expected[0]) < 0x1p-8, "o of seed \(seed)")
      #expect(
        distance(Array(result[1...].joined()), Array(expected[1...].joined())) < 0x1p-7,
        "gradients of seed \(seed)")
    }
  }

  private func distance(_ a: [Float], _ b: [Double]) -> Double {
    let square = zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
    return (square / b.reduce(1e-30) { $0 + $1 * $1 }).squareRoot()
  }
}

@Suite struct RotaryEmbeddingTests {
  @Test(
    "positions in the millions keep their phase; the twin turns back; numbers that do not turn stay",
    arguments: [0, 3_000_017], [10, 6])
  func turns(offset: Int, r: Int) {
    let (tokens, heads, d) = (5, 2, 10)
    let count = tokens * heads * d
    let x = (0..<count).map { Float($0 % 13) - 6 }
    var table = [Float](repeating: .nan, count: tokens * r)
    var (y, dx) = ([Float](repeating: .nan, count: count), [Float](repeating: 1, count: count))
    RotaryEmbedding.fillTable(
      &table, tokens: 0..<tokens, offset: offset, RotaryFrequencies(dimension: r, base: 10_000))
    RotaryEmbedding.forward(
      x, table: table, into: &y, tokens: 0..<tokens, heads: heads, dimension: d, rotated: r)
    RotaryEmbedding.backward(
      y, table: table, into: &dx, tokens: 0..<tokens, heads: heads, dimension: d, rotated: r,
      accumulate: true)
    var fresh = [Float](repeating: .nan, count: count)
    RotaryEmbedding.backward(
      y, table: table, into: &fresh, tokens: 0..<tokens, heads: heads, dimension: d, rotated: r,
      accumulate: false)
    for index in 0..<count {
      let (token, j, half) = (index / (heads * d), index % d, r / 2)
      #expect(abs(fresh[index] - x[index]) < 4e-6)
      guard j < r else {
        #expect(y[index] == x[index] && dx[index] == 1 + x[index])
        continue
      }
      let angle = Double(offset + token) * pow(10_000, -2 * Double(j % half) / Double(r))
      let other = Double(j < half ? -x[index + half] : x[index - half])
      #expect(abs(Double(y[index]) - Double(x[index]) * cos(angle) - other * sin(angle)) < 2e-6)
      #expect(abs(dx[index] - 1 - x[index]) < 4e-6)
    }
  }
}

private struct Mix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
