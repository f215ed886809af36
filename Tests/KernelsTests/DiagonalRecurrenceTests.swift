import Foundation
import Kernels
import Tensors
import Testing

/// The kinds of diagonal decay.
enum DiagonalKind: String, CaseIterable, Sendable {
  case none, fixed, scalar, vector
}

/// One random case: a sequence with documents, cut into shards.
private struct DiagonalCase {
  let kind: DiagonalKind
  let K, V, T: Int
  let scale: Float
  let chunkLength: Int
  let logDecay: Float
  /// `T` rows of `stride` floats: q, k, v, g, dO beside each other, with gaps.
  let rows: [Float]
  let stride: Int
  let starts: [Int]
  var cuts: [Int]
  let initial, dFinal: [Float]

  init(_ kind: DiagonalKind, seed: UInt64) {
    var random = SplitMix(state: seed)
    func pick(_ limits: ClosedRange<Int>) -> Int { Int.random(in: limits, using: &random) }
    self.kind = kind
    let large = pick(0...3) == 0
    K = large ? pick(1...256) : pick(1...40)
    V = large ? pick(1...256) : pick(1...40)
    T = min(pick(0...300), 700_000 / (K * V))
    scale = [1, 0.125, 0.7][pick(0...2)]
    chunkLength = [16, 32, 64, 128][pick(0...3)]
    let strength = [0, 0.02, 0.5, 2, 8, 20, 80, 1000, Float.infinity][pick(0...8)]
    let mixed = pick(0...2) == 0
    logDecay = -strength * Float.random(in: 0...1, using: &random)
    stride = 4 * max(K, V) + K + 3
    var rows = [Float](repeating: .nan, count: max(T, 1) * stride)
    for t in 0..<T {
      for x in 0..<stride { rows[t * stride + x] = Float.random(in: -1...1, using: &random) }
      for d in 0..<K {
        let isStrong = !mixed || pick(0...19) == 0
        rows[t * stride + 4 * max(K, V) + d] =
          isStrong
          ? -strength * (strength.isInfinite ? 1 : Float.random(in: 0...1, using: &random))
          : -Float.random(in: 0...0.1, using: &random)
      }
    }
    self.rows = rows
    let documents = pick(0...2) == 0 ? pick(0...5) : 0
    let tokens = T
    starts = (0..<documents).map { _ in pick(0...max(tokens - 1, 0)) }.sorted()
      .filter { $0 < tokens }
    cuts = [0] + (0..<pick(0...3)).map { _ in pick(0...tokens) }.sorted() + [tokens]
    initial = (0..<K * V).map { _ in Float.random(in: -1...1, using: &random) }
    dFinal = (0..<K * V).map { _ in Float.random(in: -1...1, using: &random) }
  }

  var kernel: any RecurrenceKernel {
    let decay: DiagonalRecurrence.Decay =
      switch kind {
      case .none: .none
      case .fixed: .fixed
      case .scalar: .scalar
      case .vector: .vector
      }
    return DiagonalRecurrence(
      decay, keyDimension: K, valueDimension: V, scale: scale, chunkLength: chunkLength)
  }

  func column(_ place: Int, _ width: Int) -> [Double] {
    (0..<T).flatMap { t in
      (0..<width).map { Double(rows[t * stride + place * max(K, V) + $0]) }
    }
  }

  var reference: DiagonalReference {
    var g = column(4, K)
    for t in 0..<T {
      for d in 0..<K {
        switch kind {
        case .none: g[t * K + d] = 0
        case .fixed: g[t * K + d] = Double(logDecay)
        case .scalar: g[t * K + d] = g[t * K]
        case .vector: break
        }
      }
    }
    return DiagonalReference(
      tokens: T, keyDimension: K, valueDimension: V, scale: Double(scale), q: column(0, K),
      k: column(1, K), v: column(2, V), g: g, starts: Set(starts), initial: initial.map(Double.init)
    )
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

private final class Floats {
  let base: UnsafeMutablePointer<Float>
  let count: Int
  init(_ count: Int, _ value: Float = .nan) {
    self.count = count
    base = .allocate(capacity: max(count, 1))
    base.update(repeating: value, count: max(count, 1))
  }
  convenience init(_ array: [Float]) {
    self.init(array.count)
    for (i, x) in array.enumerated() { base[i] = x }
  }
  deinit { base.deallocate() }
  var array: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }
}

/// What a run gives, in the layout of the reference.
private struct DiagonalResult: Equatable {
  var o, q, k, v, g, final, initial: [Float]
}

/// Runs the shards of a case one after another as ranks do: with the separate calls, or where `known` with
/// those for a state that is already there.
///
/// - Parameters:
///   - rounding: Makes queries, keys and values numbers of bf16, which the kernel gets as such or in fp32.
///   - merged: Whether the separate calls for a chunk's own part and the rest are one.
private func run(
  _ test: DiagonalCase, known: Bool, accumulate: Bool = false, rounding: Operand.Kind? = nil,
  merged: Bool = false
) -> DiagonalResult {
  let (K, V, T) = (test.K, test.V, test.T)
  let kernel = test.kernel
  let algebra = StateMap(kernel.mapKind, keyDimension: K, valueDimension: V)
  let rows = Floats(test.rows)
  var halves = [UInt16](repeating: 0, count: rows.count)
  BFloat16.round(rows.base, into: &halves, count: rows.count)
  let rounded = Floats(rows.count)
  BFloat16.widen(halves, into: rounded.base, count: rows.count)
  let stored = UnsafeMutablePointer<UInt16>.allocate(capacity: max(rows.count, 1))
  stored.initialize(from: halves, count: rows.count)
  defer { stored.deallocate() }
  let gWidth = test.kind == .vector ? K : 1
  let start: Float = accumulate ? 1 : .nan
  let (o, dq, dk) = (Floats(T * (V + 1)), Floats(T * (K + 2), start), Floats(T * (K + 1), start))
  let (dv, dg) = (Floats(T * (V + 3), start), Floats(T * gWidth, start))
  let scratch = Floats(kernel.scratchCount)
  struct Shard {
    let range: Range<Int>
    let plan: ChunkPlan
    let kept, keptBackward, map: Floats
  }
  func views(_ t: Int) -> (RecurrenceHead, RecurrenceGradient, MutableTokenRows) {
    func place(_ x: Int) -> TokenRows {
      TokenRows(rows.base + t * test.stride + x * max(K, V), stride: test.stride)
    }
    func input(_ x: Int) -> TokenRows {
      let offset = t * test.stride + x * max(K, V)
      switch rounding {
      case nil: return place(x)
      case .float: return TokenRows(rounded.base + offset, stride: test.stride)
      case .bfloat16: return TokenRows(stored + offset, stride: test.stride)
      }
    }
    let head = RecurrenceHead(
      q: input(0), k: input(1), v: input(2),
      g: test.kind == .scalar || test.kind == .vector ? place(4) : nil, logDecay: test.logDecay)
    func mutable(_ x: Floats, _ stride: Int) -> MutableTokenRows {
      MutableTokenRows(x.base + t * stride, stride: stride, accumulates: accumulate)
    }
    let gradient = RecurrenceGradient(
      dO: place(3), dq: mutable(dq, K + 2), dk: mutable(dk, K + 1), dv: mutable(dv, V + 3),
      dg: mutable(dg, gWidth))
    return (head, gradient, MutableTokenRows(o.base + t * (V + 1), stride: V + 1))
  }

  var shards: [Shard] = []
  var state = Floats(test.initial)
  for (from, to) in zip(test.cuts, test.cuts.dropFirst()) {
    let starts = test.starts.filter { $0 >= from && $0 < to }.map { $0 - from }
    let plan = ChunkPlan(tokens: to - from, starts: starts, chunkLength: kernel.chunkLength)
    let shard = Shard(
      range: from..<to, plan: plan, kept: Floats(kernel.keptCount(plan)),
      keptBackward: Floats(kernel.keptBackwardCount(plan)), map: Floats(algebra.kind.count(K)))
    let (head, _, o) = views(from)
    let next = Floats(K * V)
    if known {
      kernel.forward(
        head, plan, kept: shard.kept.base, initial: state.base, o: o, final: next.base,
        scratch: scratch.base)
    } else {
      let sum = Floats(K * V)
      kernel.summarize(
        head, plan, kept: shard.kept.base, map: shard.map.base, state: sum.base,
        scratch: scratch.base)
      for c in plan.chunks.indices.reversed() where !merged {
        kernel.outputIntra(
          head, plan, chunk: c, kept: shard.kept.base, o: o, scratch: scratch.base)
      }
      algebra.combine(shard.map.base, state.base, adding: sum.base, into: next.base)
      kernel.begin(state.base, plan, kept: shard.kept.base)
      for c in plan.chunks.indices {
        let call = merged ? kernel.output : kernel.outputInter
        call(head, plan, c, shard.kept.base, o, scratch.base)
      }
    }
    state = next
    shards.append(shard)
  }
  var dState = Floats(test.dFinal)
  for shard in shards.reversed() {
    let (head, gradient, _) = views(shard.range.lowerBound)
    let previous = Floats(K * V)
    let plan = shard.plan
    let (kept, keptBackward) = (shard.kept.base, shard.keptBackward.base)
    if known {
      kernel.backward(
        head, gradient, plan, kept: kept, keptBackward: keptBackward, final: dState.base,
        initial: previous.base, scratch: scratch.base)
    } else {
      let sum = Floats(K * V)
      kernel.summarizeBackward(
        head, gradient, plan, kept: kept, keptBackward: keptBackward, state: sum.base,
        scratch: scratch.base)
      for c in plan.chunks.indices where !merged {
        kernel.backwardIntra(
          head, gradient, plan, chunk: c, kept: kept, keptBackward: keptBackward,
          scratch: scratch.base)
      }
      algebra.combineTransposed(shard.map.base, dState.base, adding: sum.base, into: previous.base)
      kernel.beginBackward(dState.base, plan, keptBackward: keptBackward)
      for c in plan.chunks.indices.reversed() {
        let call =
          merged
          ? kernel.backward(_:_:_:chunk:kept:keptBackward:scratch:) : kernel.backwardInter
        call(head, gradient, plan, c, kept, keptBackward, scratch.base)
      }
    }
    dState = previous
  }
  func packed(_ x: Floats, _ width: Int, _ stride: Int) -> [Float] {
    (0..<T).flatMap { t in (0..<width).map { x.base[t * stride + $0] } }
  }
  return DiagonalResult(
    o: packed(o, V, V + 1), q: packed(dq, K, K + 2), k: packed(dk, K, K + 1),
    v: packed(dv, V, V + 3), g: packed(dg, gWidth, gWidth), final: state.array,
    initial: dState.array)
}

/// `‖x − y‖ / ‖y‖`; what no float can hold counts as nothing.
private func distance(_ x: [Float], _ y: [Double]) -> Double {
  var (difference, norm) = (0.0, 0.0)
  for (a, b) in zip(x, y) {
    difference += (Double(a) - b) * (Double(a) - b)
    norm += b * b
  }
  return difference.squareRoot() / max(norm.squareRoot(), 1e-30)
}

@Suite struct DiagonalRecurrenceTests {
  @Test(
    "outputs, states and gradients agree with the per-token reference, whatever the partition",
    arguments: DiagonalKind.allCases)
  func agreesWithReference(kind: DiagonalKind) {
    for seed in 0..<100 {
      let test = DiagonalCase(kind, seed: UInt64(seed))
      let reference = test.reference
      let output = reference.forward()
      let gradients = reference.backward(
        output, dO: test.column(3, test.V), dFinal: test.dFinal.map(Double.init))
      let result = run(test, known: seed % 2 == 0)
      var dg = gradients.g
      if kind == .scalar {
        dg = (0..<test.T).map { t in gradients.g[t * test.K..<(t + 1) * test.K].reduce(0, +) }
      }
      var errors = [
        "o": distance(result.o, output.o), "final": distance(result.final, output.final),
        "dq": distance(result.q, gradients.q), "dk": distance(result.k, gradients.k),
        "dv": distance(result.v, gradients.v),
        "dinitial": distance(result.initial, gradients.initial),
      ]
      if kind == .scalar || kind == .vector { errors["dg"] = distance(result.g, dg) }
      for (name, error) in errors {
        #expect(
          error <= 1e-5,
          """
          seed \(seed) \(kind): \(name) is off by \(error) with K \(test.K) V \(test.V) T \(test.T) \
          chunk \(test.chunkLength) cuts \(test.cuts) starts \(test.starts) decay \(test.logDecay)
          """)
      }
    }
  }

  @Test("numbers of bf16 are what they are in fp32", arguments: [DiagonalKind.vector])
  func readsBFloat16(kind: DiagonalKind) {
    for seed in 2000..<2010 {
      let test = DiagonalCase(kind, seed: UInt64(seed))
      for known in [false, true] {
        let (short, long) = (
          run(test, known: known, rounding: .bfloat16), run(test, known: known, rounding: .float)
        )
        #expect(short == long)
      }
    }
  }

  @Test(
    "products of numbers of bf16 are of operands rounded to bf16, where no vector decays",
    arguments: [DiagonalKind.none, .fixed, .scalar])
  func roundsOperands(kind: DiagonalKind) {
    for seed in 2000..<2030 {
      let test = DiagonalCase(kind, seed: UInt64(seed))
      let (short, long) = (
        run(test, known: seed % 2 == 0, rounding: .bfloat16),
        run(test, known: seed % 2 == 0, rounding: .float)
      )
      var parts = [\DiagonalResult.o, \.q, \.k, \.v, \.final, \.initial]
      if kind == .scalar { parts.append(\.g) }
      for part in parts {
        // Each operand is off by 2⁻⁹ of itself at most, and each result is of products of products.
        let error = distance(short[keyPath: part], long[keyPath: part].map(Double.init))
        #expect(error <= 8e-3, "seed \(seed): \(part) is off by \(error)")
      }
    }
  }

  @Test(
    "a state that is known gives the same bits as one that arrives, of operands in bf16 too, and chunks by one call too",
    arguments: DiagonalKind.allCases)
  func roundedGivesTheSameBits(kind: DiagonalKind) {
    for seed in 1000..<1020 {
      var test = DiagonalCase(kind, seed: UInt64(seed))
      test.cuts = [0, test.T]
      let together = run(test, known: true, rounding: .bfloat16)
      for merged in [false, true] {
        let apart = run(test, known: false, rounding: .bfloat16, merged: merged)
        #expect(apart.o == together.o && apart.q == together.q, "seed \(seed)")
        #expect(apart.k == together.k && apart.v == together.v, "seed \(seed)")
        #expect(kind == .none || kind == .fixed || apart.g == together.g, "seed \(seed)")
      }
    }
  }

  @Test(
    "a state that is known gives the same bits as one that arrives",
    arguments: DiagonalKind.allCases)
  func knownStateGivesTheSameBits(kind: DiagonalKind) {
    for seed in 1000..<1030 {
      var test = DiagonalCase(kind, seed: UInt64(seed))
      // One shard: a chain of composed maps rounds differently from a chain of chunks.
      test.cuts = [0, test.T]
      let accumulate = seed % 3 == 0
      let (apart, together) = (
        run(test, known: false, accumulate: accumulate),
        run(test, known: true, accumulate: accumulate)
      )
      #expect(apart.o == together.o && apart.q == together.q, "seed \(seed)")
      #expect(apart.k == together.k && apart.v == together.v, "seed \(seed)")
      #expect(kind == .none || kind == .fixed || apart.g == together.g, "seed \(seed)")
    }
  }
}
