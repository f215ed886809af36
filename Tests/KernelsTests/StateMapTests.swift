import Foundation
import Kernels
import Testing

/// Small integers, so that every sum is exact.
private func integers(_ count: Int, _ seed: Int) -> [Float] {
  (0..<count).map { (x: Int) -> Float in
    let mixed: Int = x * 37 + seed * 11 + x / 3
    return Float(mixed % 7 - 3)
  }
}

@Suite struct StateMapTests {
  private static let kinds: [StateMapKind] = [.scalar, .vector, .matrix]

  /// `M` as a matrix.
  private static func dense(_ kind: StateMapKind, _ map: [Float], _ K: Int) -> [Float] {
    (0..<K * K).map { x in
      let (d, e) = (x / K, x % K)
      switch kind {
      case .scalar: return d == e ? map[0] : 0
      case .vector: return d == e ? map[d] : 0
      case .matrix: return map[x]
      case .stabilised, .stabilisedAdjoint: preconditionFailure("\(kind) has a test of its own")
      }
    }
  }

  @Test("applies M and its transpose", arguments: kinds, [(1, 1), (3, 5), (17, 4), (33, 40)])
  func applies(kind: StateMapKind, size: (Int, Int)) {
    let (K, V) = size
    let algebra = StateMap(kind, keyDimension: K, valueDimension: V)
    let (map, input, sum) = (
      integers(kind.count(K), 1), integers(K * V, 2), integers(K * V, 3)
    )
    let matrix = Self.dense(kind, map, K)
    for transposed in [false, true] {
      var output = [Float](repeating: .nan, count: K * V)
      transposed
        ? algebra.combineTransposed(map, input, adding: sum, into: &output)
        : algebra.combine(map, input, adding: sum, into: &output)
      for d in 0..<K {
        for x in 0..<V {
          var expected = sum[d * V + x]
          for e in 0..<K {
            expected += (transposed ? matrix[e * K + d] : matrix[d * K + e]) * input[e * V + x]
          }
          #expect(output[d * V + x] == expected)
        }
      }
    }
  }

  @Test("two shards in a row are one", arguments: kinds)
  func composes(kind: StateMapKind) {
    let (K, V) = (6, 3)
    let algebra = StateMap(kind, keyDimension: K, valueDimension: V)
    let count = kind.count(K)
    let (m1, m2) = (integers(count, 1), integers(count, 2))
    let (b1, b2, s) = (integers(K * V, 3), integers(K * V, 4), integers(K * V, 5))
    var (middle, end) = (b1, b1)
    algebra.combine(m1, s, adding: b1, into: &middle)
    algebra.combine(m2, middle, adding: b2, into: &end)

    var (m, b, together) = ([Float](repeating: 0, count: count), b1, b1)
    algebra.composeMaps(later: m2, earlier: m1, into: &m)
    algebra.combine(m2, b1, adding: b2, into: &b)
    algebra.combine(m, s, adding: b, into: &together)
    #expect(together == end)
  }

  @Test func `the map of a decay that is not from data follows from the layout`() {
    #expect(StateMap.known(logDecay: 0, tokens: 1000, containsStart: false) == 1)
    #expect(StateMap.known(logDecay: -0.5, tokens: 4, containsStart: true) == 0)
    #expect(
      abs(StateMap.known(logDecay: -0.5, tokens: 4, containsStart: false) - 0.135_335_28) < 1e-8)
    #expect(StateMap.known(logDecay: -.infinity, tokens: 0, containsStart: false) == 1)
  }

  /// A stabilised state `(S, m)` or shard `(C, μ)` of three sums, as what it stands for: `e^m S`.
  private static func meant(_ state: [Float]) -> [Double] {
    state.dropLast().map { Double($0) * exp(Double(state.last!)) }
  }

  @Test(
    "Stabilised states are what they stand for, whatever their maxima, and compose",
    arguments: [-Float.infinity, -90, 0, 3, 80], [-Float.infinity, -1000, -2, 0])
  func stabilised(maximum: Float, logDecay: Float) {
    let algebra = StateMap(.stabilised, keyDimension: 1, valueDimension: 2)
    // Three sums and a maximum, K (V + 1) + 1 numbers.
    func shard(_ seed: Int, _ maximum: Float) -> [Float] {
      let sums = integers(2 + 1, seed)
      return (maximum == -.infinity ? sums.map { _ in 0 } : sums) + [maximum]
    }
    let (initial, first, second) = (shard(1, 2), shard(2, maximum), shard(3, 1))
    func combine(_ g: Float, _ state: [Float], _ sum: [Float]) -> [Float] {
      var output = sum
      algebra.combine([g], state, adding: sum, into: &output)
      return output
    }
    let middle = combine(logDecay, initial, first)
    for (actual, terms) in zip(Self.meant(middle), zip(Self.meant(initial), Self.meant(first))) {
      let expected = exp(Double(logDecay)) * terms.0 + terms.1
      #expect(abs(actual - expected) <= 1e-6 * abs(expected))
    }
    let end = combine(-0.5, middle, second)
    var map: [Float] = [0]
    algebra.composeMaps(later: [-0.5], earlier: [logDecay], into: &map)
    let together = combine(map[0], initial, combine(-0.5, first, second))
    #expect(end.last == together.last)
    for (one, other) in zip(end, together) { #expect(abs(one - other) <= 1e-6) }
    #expect(!end.contains { $0.isNaN })
  }
}
