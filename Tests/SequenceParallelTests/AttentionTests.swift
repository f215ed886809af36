import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors
import Testing

/// How a test's keys cross ranks.
enum Crossing: String, CaseIterable, Sendable { case gather, ring, window }

/// A random attention layer.
private struct AttentionCase {
  var test: SequenceCase
  let dimension, heads, keyHeads: Int
  let window: Int?
  let exchange: AttentionExchange
  /// How many numbers of a head turn.
  let rotated: Int

  init(_ crossing: Crossing, seed: UInt64, mostTokens: Int = 24) {
    test = SequenceCase(seed: seed, mostTokens: mostTokens)
    dimension = [2, 8, 20].randomElement(using: &test.random)!
    keyHeads = Int.random(in: 1...2, using: &test.random)
    heads = keyHeads * Int.random(in: 1...3, using: &test.random)
    window = crossing == .window ? [1, 2, 5, 17, 1000].randomElement(using: &test.random)! : nil
    exchange = crossing == .ring ? .ring : .gather
    rotated = 2 * Int.random(in: 0...dimension / 2, using: &test.random)
  }

  var outputs: Int { heads * dimension }
  var columns: Int { (heads + 2 * keyHeads) * dimension }
  var scale: Double { 1 / Double(dimension).squareRoot() }

  func run(x: [Float], dy: [Float], recomputes: Bool? = nil, runsTwice: Bool = false) throws
    -> SequenceCase.Result
  {
    let (outputs, width) = (outputs, keyHeads * dimension)
    return try test.run(
      x: x, columns: columns, dy: dy, outputs: outputs, recomputes: recomputes,
      runsTwice: runsTwice
    ) { tape, x, pass in
      var q = tape.columns(x, 0..<outputs)
      var k = tape.columns(x, outputs..<outputs + width)
      let v = tape.columns(x, outputs + width..<outputs + 2 * width)
      if rotated > 0 {
        let positions = RotaryFrequencies(dimension: rotated, base: 10_000)
        q = tape.rotaryEmbedding(q, positions, of: dimension, pass: pass)
        k = tape.rotaryEmbedding(k, positions, of: dimension, pass: pass)
      }
      return try tape.attention(
        q: q, k: k, v: v, dimension: dimension, window: window, exchange: exchange,
        slot: CarrySlot(layer: 2, .window), pass: pass)
    }
  }

  /// Pairs of a query and a key that it sees, in all rows.
  var pairs: Int {
    (0..<test.rows).reduce(0) { sum, row in
      (0..<test.tokens).reduce(sum) { sum, token in
        sum
          + (0...token).count {
            token - $0 < window ?? .max && test.isSameDocument(row, $0, token)
          }
      }
    }
  }

  /// The same a token at a time, in Double, over whole sequences.
  func reference(x: [Float], dy: [Float]) -> (y: [Double], dx: [Double]) {
    let (d, tokens) = (dimension, test.tokens)
    var y = dy.map { _ in 0.0 }
    var dx = x.map { _ in 0.0 }
    let x = x.map(Double.init)
    /// Rotates a head by a position's angles; backward by their opposites.
    func rotate(_ head: [Double], _ position: Int, _ sign: Double = 1) -> [Double] {
      var turned = head
      let half = rotated / 2
      for j in 0..<half {
        let angle = sign * Double(position) * pow(10_000, -2 * Double(j) / Double(rotated))
        turned[j] = head[j] * cos(angle) - head[j + half] * sin(angle)
        turned[j + half] = head[j + half] * cos(angle) + head[j] * sin(angle)
      }
      return turned
    }
    for row in 0..<test.rows {
      for head in 0..<heads {
        let key = head / (heads / keyHeads)
        func at(_ token: Int, _ head: Int) -> Range<Int> {
          let first = (row * tokens + token) * columns + head * d
          return first..<first + d
        }
        let k = (0..<tokens).map { rotate(Array(x[at($0, heads + key)]), $0) }
        let v = (0..<tokens).map { Array(x[at($0, heads + keyHeads + key)]) }
        for t in 0..<tokens {
          let q = rotate(Array(x[at(t, head)]), t)
          let seen = (0...t).filter {
            t - $0 < window ?? .max && test.isSameDocument(row, $0, t)
          }
          let scores = seen.map { j in scale * zip(q, k[j]).reduce(0) { $0 + $1.0 * $1.1 } }
          let weights = scores.map { exp($0 - scores.max()!) }
          let p = weights.map { $0 / weights.reduce(0, +) }
          let out = (row * tokens + t) * outputs + head * d
          let dO = (0..<d).map { Double(dy[out + $0]) }
          let dp = seen.map { j in zip(dO, v[j]).reduce(0) { $0 + $1.0 * $1.1 } }
          let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
          var dq = [Double](repeating: 0, count: d)
          for (index, j) in seen.enumerated() {
            let ds = scale * p[index] * (dp[index] - mean)
            let dk = rotate(q.map { $0 * ds }, j, -1)
            for i in 0..<d {
              y[out + i] += p[index] * v[j][i]
              dq[i] += ds * k[j][i]
              dx[at(j, heads + key).lowerBound + i] += dk[i]
              dx[at(j, heads + keyHeads + key).lowerBound + i] += p[index] * dO[i]
            }
          }
          for (i, value) in rotate(dq, t, -1).enumerated() {
            dx[at(t, head).lowerBound + i] += value
          }
        }
      }
    }
    return (y, dx)
  }
}

@Suite struct AttentionTests {
  @Test(
    "any partition, documents and carries", arguments: Crossing.allCases, 0..<40 as Range<UInt64>)
  func agreesWithReference(crossing: Crossing, seed: UInt64) throws {
    var test = AttentionCase(crossing, seed: seed, mostTokens: seed % 20 == 19 ? 160 : 24)
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(test.outputs))
    let result = try test.run(x: x, dy: dy)
    let expected = test.reference(x: x, dy: dy)
    #expect(distance(result.y, expected.y) < 1e-5, "\(test)")
    #expect(distance(result.dx, expected.dx) < 1e-5, "\(test)")
  }

  @Test(
    "running a region or a segment again, or both, sends nothing", arguments: Crossing.allCases,
    100..<110 as Range<UInt64>)
  func recomputationIsSilent(crossing: Crossing, seed: UInt64) throws {
    var test = AttentionCase(crossing, seed: seed)
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(test.outputs))
    let once = try test.run(x: x, dy: dy, recomputes: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try test.run(x: x, dy: dy, recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
    }
  }
}

@Suite struct AttentionOperationTests {
  @Test(
    "all ranks together count twelve operations a pair that is seen and a number of a head",
    arguments: Crossing.allCases, 200..<230 as Range<UInt64>)
  func countsPairs(crossing: Crossing, seed: UInt64) throws {
    var test = AttentionCase(crossing, seed: seed)
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(test.outputs))
    let expected = 12 * Double(test.pairs * test.outputs)
    for recomputes in [false, true] {
      let result = try test.run(x: x, dy: dy, recomputes: recomputes)
      #expect(result.attentionOperations == expected, "\(test)")
    }
  }

  @Test("the formula counts a sequence of one document", arguments: [nil, 1, 3, 17, 100])
  func formula(window: Int?) {
    for length in [0, 1, 2, 17, 40] {
      let pairs = (0..<length).reduce(0) { $0 + min($1 + 1, window ?? .max) }
      let size = AttentionSize(heads: 3, dimension: 5, window: window)
      #expect(size.operations(length: length) == 12 * 15 * Double(pairs))
    }
  }

  @Test("the formula counts terraces and keys that all queries see", arguments: [1, 3, 17, 100])
  func terraceFormula(width: Int) {
    for length in [0, 1, 2, 17, 40] {
      let pairs = (0..<length).reduce(0) { $0 + $1 + 1 - max(0, ($1 / width - 1) * width) + 2 }
      let size = AttentionSize(heads: 3, dimension: 5, span: .terraced(width), extra: 2)
      #expect(size.operations(length: length) == 12 * 15 * Double(pairs))
    }
  }
}

extension Tape {
  /// Some columns of a matrix.
  func columns(_ x: Variable, _ range: Range<Int>) -> Variable {
    let (n, width, all) = (x.shape.rows, range.count, x.shape.columns)
    let y = Tensor([n, width], pool: pool)
    for row in 0..<n {
      (y.pointer + row * width).update(
        from: x.value.pointer + row * all + range.lowerBound, count: width)
    }
    return record(y, inputs: [x]) { [unowned self] dy in
      let (dx, accumulate) = x.gradientTarget(in: workspace)
      if !accumulate { dx.clear() }
      for row in 0..<n {
        for column in 0..<width {
          dx.pointer[row * all + range.lowerBound + column] += dy.pointer[row * width + column]
        }
      }
    }
  }
}
