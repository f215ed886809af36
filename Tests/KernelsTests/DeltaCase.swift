import Foundation
import Tensors

@testable import Kernels

/// A random sequence of the delta-rule family, cut into pieces as ranks cut it.
struct DeltaCase: CustomStringConvertible {
  let decay: DeltaRecurrence.Decay
  let seed: UInt64
  let keys: Int, values: Int, tokens: Int
  /// Floats from one token to the next beyond the row itself.
  let gap: Int
  let scale: Float
  /// Lengths of the pieces.
  var pieces: [Int]
  /// Global positions at which documents start.
  let starts: [Int]
  /// Whether a single piece goes through the separate calls too.
  var isSplit = false
  /// Whether the rule is computed as a transition of low rank: `a = −e^g ⊙ k`, `b = βk`, and βk in place of k.
  var isLowRank = false
  /// Makes queries, keys, values and low-rank rows numbers of bf16, which the kernel gets as such or in fp32.
  var rounding: Operand.Kind?
  /// What gradients hold beforehand, where they accumulate.
  var accumulated: Float?
  private(set) var q, k, v, beta, g, initial, dO, dFinal: [Float]
  private let regime: String

  var description: String {
    "seed \(seed), decay \(decay), K \(keys), V \(values), T \(tokens), pieces \(pieces), "
      + "documents at \(starts), gates \(regime)"
  }

  init(decay: DeltaRecurrence.Decay, seed: UInt64) {
    (self.decay, self.seed) = (decay, seed)
    let random = Random(seed: seed, purpose: 77)
    var next: UInt64 = 0
    func integer(_ range: Range<Int>) -> Int {
      next += 1
      return range.lowerBound + random.integer(below: range.count, at: next)
    }
    func uniform() -> Double {
      next += 1
      return random.uniform(at: next)
    }
    func normals(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        next += 1
        return Float(random.normal(at: next))
      }
    }
    let dimensions = [1, 3, 8, 16, 17, 32, 40, 64, 100, 128, 256]
    let limit = seed % 8 == 0 ? dimensions.count : 7
    let keys = dimensions[integer(0..<limit)]
    // A state of one number may have a gradient that cancels to nothing, so V is more than 1 where K is 1.
    let values = max(dimensions[integer(0..<limit)], keys == 1 ? 8 : 1)
    let tokens = seed == 2 ? 0 : integer(1..<(keys * values > 5000 ? 80 : 220))
    (self.keys, self.values, self.tokens) = (keys, values, tokens)
    gap = integer(0..<3) * 5
    scale = seed % 2 == 0 ? 1 : Float(1 / Double(keys).squareRoot())
    var cuts = (0..<integer(0..<5)).map { _ in integer(0..<tokens + 1) }
    if seed % 5 == 1, let first = cuts.first { cuts += [first, min(first + 1, tokens)] }
    cuts = [0] + cuts.sorted() + [tokens]
    pieces = zip(cuts, cuts.dropFirst()).map { $1 - $0 }
    starts =
      seed % 3 == 0 && tokens > 0
      ? Set((0..<integer(1..<6)).map { _ in integer(0..<tokens) }).sorted() : []
    q = normals(tokens * keys)
    k = normals(tokens * keys)
    v = normals(tokens * values)
    initial = normals(keys * values)
    dO = normals(tokens * values)
    dFinal = normals(keys * values)
    // Keys of length 1, or of any length for which no step with β ≤ 2 makes the state grow. With a single
    // channel they are shorter: a step near β k² = 1 erases all of the state, and what is left is rounding.
    for t in 0..<tokens {
      var norm: Float = 0
      for d in 0..<keys { norm += k[t * keys + d] * k[t * keys + d] }
      let length = (keys == 1 ? 0.6 : 1) * (seed % 4 < 2 ? 1 : Float(uniform()))
      for d in 0..<keys { k[t * keys + d] *= length / max(norm.squareRoot(), 1e-20) }
    }
    let most = seed % 2 == 0 ? 2.0 : 1.0
    beta = (0..<tokens).map { _ in Float(uniform() < 0.05 ? 0 : most * uniform()) }
    let regimes = ["0", "slow", "fast", "−30", "−∞", "−8", "−20", "mixed"]
    regime = regimes[integer(0..<regimes.count)]
    let regime = regime
    let gates = decay == .vector ? keys : 1
    g = (0..<tokens * gates).map { _ in
      switch regime {
      case "0": 0
      case "slow": Float(-0.01 * uniform())
      case "fast": Float(-2 * uniform())
      case "−30": Float(uniform() < 0.05 ? -30 : -0.1 * uniform())
      case "−∞": uniform() < 0.05 ? -.infinity : Float(-0.1 * uniform())
      case "−8": Float(-8 - uniform())
      case "−20": Float(-20 - uniform())
      default: Float([0, -0.001, -0.5, -5, -50, -1000][integer(0..<6)])
      }
    }
  }

  /// The same sequence for the per-token recurrence.
  var reference: DeltaReference {
    let gates: [Double] =
      switch decay {
      case .none: [Double](repeating: 0, count: tokens * keys)
      case .scalar: g.flatMap { [Double](repeating: Double($0), count: keys) }
      case .vector: g.map(Double.init)
      }
    var reference = DeltaReference(
      tokens: tokens, keys: keys, values: values, q: q.map(Double.init), k: k.map(Double.init),
      v: v.map(Double.init), beta: beta.map(Double.init), g: gates,
      initial: initial.map(Double.init))
    reference.scale = Double(scale)
    reference.starts = Set(starts)
    return reference
  }

  /// What the kernel makes of it.
  struct Result {
    var o, final, dq, dk, dv, dbeta, dg, dInitial: [Float]
    /// Of low rank.
    var da: [Float] = [], db: [Float] = []
  }

  /// Log decay of a channel, as kernels count it.
  private func logDecay(_ t: Int, _ d: Int) -> Float {
    switch decay {
    case .none: 0
    case .scalar: max(g[t], -80)
    case .vector: max(g[t * keys + d], -80)
    }
  }

  /// `a` of the rule as a transition of low rank.
  private var reads: [Float] {
    k.indices.map { Float(-exp(Double(logDecay($0 / keys, $0 % keys))) * Double(k[$0])) }
  }

  /// `b` of it, and what stands in place of k.
  private var writes: [Float] { k.indices.map { beta[$0 / keys] * k[$0] } }

  /// The delta rule's gradients from those of a transition of low rank: k, β and g are in several of its inputs.
  func deltaGradients(_ result: Result) -> Result {
    var rule = result
    let reads = reads
    rule.dbeta = [Float](repeating: 0, count: tokens)
    for i in k.indices {
      let (t, d) = (i / keys, i % keys)
      let (written, read) = (result.dk[i] + result.db[i], result.da[i])
      rule.dk[i] = beta[t] * written - Float(exp(Double(logDecay(t, d)))) * read
      rule.dbeta[t] += k[i] * written
      let gate = decay == .vector ? i : t
      if decay != .none, g[gate] >= -80 { rule.dg[gate] += reads[i] * read }
    }
    return rule
  }

  /// Runs all pieces, the first and last through the calls for a known state, the others through summaries.
  func run() -> Result {
    let kernel: any RecurrenceKernel =
      if isLowRank {
        LowRankRecurrence(decay, keyDimension: keys, valueDimension: values, scale: scale)
      } else {
        DeltaRecurrence(decay, keyDimension: keys, valueDimension: values, scale: scale)
      }
    let algebra = StateMap(.matrix, keyDimension: keys, valueDimension: values)
    let gates = decay == .vector ? keys : 1
    let inputs = [
      FloatRows(q, keys, gap), FloatRows(isLowRank ? writes : k, keys, gap),
      FloatRows(v, values, gap),
      FloatRows(g, gates, gap),
      FloatRows(beta, 1, gap), FloatRows(dO, values, gap), FloatRows(reads, keys, gap),
      FloatRows(writes, keys, gap),
    ]
    let widths = [values, keys, keys, values, gates, 1, keys, keys]
    let outputs = widths.map {
      FloatRows([Float](repeating: accumulated ?? .nan, count: tokens * $0), $0, gap)
    }
    var states = [FloatRows(initial, values, 0)]
    let scratch = FloatRows(count: kernel.scratchCount)
    var shards: [Shard] = []
    var position = 0
    for (index, length) in pieces.enumerated() {
      let range = position..<position + length
      position += length
      let plan = ChunkPlan(
        tokens: length,
        starts: starts.filter(range.contains).map { $0 - range.lowerBound },
        chunkLength: kernel.chunkLength)
      func rows(_ rows: FloatRows) -> TokenRows {
        TokenRows(rows.pointer + range.lowerBound * rows.stride, stride: rows.stride)
      }
      func stored(_ rows: FloatRows) -> TokenRows { rows.read(from: range.lowerBound, rounding) }
      func written(_ rows: FloatRows, accumulates: Bool) -> MutableTokenRows {
        MutableTokenRows(
          rows.pointer + range.lowerBound * rows.stride, stride: rows.stride,
          accumulates: accumulates)
      }
      let head = RecurrenceHead(
        q: stored(inputs[0]), k: stored(inputs[1]), v: stored(inputs[2]),
        g: decay == .none ? nil : rows(inputs[3]), beta: rows(inputs[4]),
        a: stored(inputs[6]), b: stored(inputs[7]))
      let adds = accumulated != nil
      let shard = Shard(
        plan: plan, head: head,
        gradient: RecurrenceGradient(
          dO: rows(inputs[5]), dq: written(outputs[1], accumulates: adds),
          dk: written(outputs[2], accumulates: adds), dv: written(outputs[3], accumulates: adds),
          dg: decay == .none ? nil : written(outputs[4], accumulates: adds),
          dbeta: written(outputs[5], accumulates: adds),
          da: written(outputs[6], accumulates: adds), db: written(outputs[7], accumulates: adds)),
        kept: FloatRows(count: kernel.keptCount(plan)),
        keptBackward: FloatRows(count: kernel.keptBackwardCount(plan)),
        map: FloatRows(count: keys * keys),
        isSplit: isSplit || (index > 0 && index < pieces.count - 1))
      shards.append(shard)
      let o = written(outputs[0], accumulates: false)
      let next = FloatRows(count: keys * values)
      if shard.isSplit {
        let sum = FloatRows(count: keys * values)
        kernel.summarize(
          head, plan, kept: shard.kept.pointer, map: shard.map.pointer, state: sum.pointer,
          scratch: scratch.pointer)
        for chunk in plan.chunks.indices {
          kernel.outputIntra(
            head, plan, chunk: chunk, kept: shard.kept.pointer, o: o, scratch: scratch.pointer)
        }
        algebra.combine(
          shard.map.pointer, states[index].pointer, adding: sum.pointer, into: next.pointer)
        kernel.begin(states[index].pointer, plan, kept: shard.kept.pointer)
        for chunk in plan.chunks.indices {
          kernel.outputInter(
            head, plan, chunk: chunk, kept: shard.kept.pointer, o: o, scratch: scratch.pointer)
        }
      } else {
        kernel.forward(
          head, plan, kept: shard.kept.pointer, initial: states[index].pointer, o: o,
          final: next.pointer, scratch: scratch.pointer)
      }
      states.append(next)
    }
    var dState = FloatRows(dFinal, values, 0)
    for shard in shards.reversed() {
      let (kept, keptBackward) = (shard.kept.pointer, shard.keptBackward.pointer)
      let earlier = FloatRows(count: keys * values)
      if shard.isSplit {
        let sum = FloatRows(count: keys * values)
        kernel.summarizeBackward(
          shard.head, shard.gradient, shard.plan, kept: kept, keptBackward: keptBackward,
          state: sum.pointer, scratch: scratch.pointer)
        for chunk in shard.plan.chunks.indices {
          kernel.backwardIntra(
            shard.head, shard.gradient, shard.plan, chunk: chunk, kept: kept,
            keptBackward: keptBackward, scratch: scratch.pointer)
        }
        algebra.combineTransposed(
          shard.map.pointer, dState.pointer, adding: sum.pointer, into: earlier.pointer)
        kernel.beginBackward(dState.pointer, shard.plan, keptBackward: keptBackward)
        for chunk in shard.plan.chunks.indices.reversed() {
          kernel.backwardInter(
            shard.head, shard.gradient, shard.plan, chunk: chunk, kept: kept,
            keptBackward: keptBackward, scratch: scratch.pointer)
        }
      } else {
        kernel.backward(
          shard.head, shard.gradient, shard.plan, kept: kept, keptBackward: keptBackward,
          final: dState.pointer, initial: earlier.pointer, scratch: scratch.pointer)
      }
      dState = earlier
    }
    withExtendedLifetime((inputs, states, scratch)) {}
    let (o, dq, dk, dv) = (outputs[0], outputs[1], outputs[2], outputs[3])
    return Result(
      o: o.numbers, final: states.last?.numbers ?? [], dq: dq.numbers, dk: dk.numbers,
      dv: dv.numbers, dbeta: outputs[5].numbers, dg: decay == .none ? [] : outputs[4].numbers,
      dInitial: dState.numbers, da: isLowRank ? outputs[6].numbers : [],
      db: isLowRank ? outputs[7].numbers : [])
  }

  /// One piece, and what it keeps.
  private struct Shard {
    let plan: ChunkPlan
    let head: RecurrenceHead
    let gradient: RecurrenceGradient
    let kept, keptBackward, map: FloatRows
    let isSplit: Bool
  }
}

/// Rows of floats with gaps between them, filled with NaN where nothing was written.
final class FloatRows {
  let pointer: UnsafeMutablePointer<Float>
  let stride: Int
  private let columns: Int, rows: Int
  /// The numbers rounded to bf16, and in fp32 again.
  private let halves: UnsafeMutablePointer<UInt16>, rounded: UnsafeMutablePointer<Float>

  init(_ numbers: [Float], _ columns: Int, _ gap: Int) {
    (self.columns, stride, rows) = (columns, columns + gap, numbers.count / columns)
    pointer = .allocate(capacity: rows * stride + 1)
    pointer.initialize(repeating: .nan, count: rows * stride + 1)
    for i in 0..<rows {
      for x in 0..<columns { pointer[i * stride + x] = numbers[i * columns + x] }
    }
    let count = rows * stride + 1
    (halves, rounded) = (.allocate(capacity: count), .allocate(capacity: count))
    BFloat16.round(pointer, into: halves, count: count)
    BFloat16.widen(halves, into: rounded, count: count)
  }

  /// The rows from one on: as they are, or rounded to bf16, stored so or in fp32.
  func read(from row: Int, _ rounding: Operand.Kind?) -> TokenRows {
    switch rounding {
    case nil: TokenRows(pointer + row * stride, stride: stride)
    case .float: TokenRows(rounded + row * stride, stride: stride)
    case .bfloat16: TokenRows(halves + row * stride, stride: stride)
    }
  }

  convenience init(count: Int) {
    self.init([Float](repeating: .nan, count: count), 1, 0)
  }

  deinit {
    pointer.deallocate()
    halves.deallocate()
    rounded.deallocate()
  }

  /// The numbers without the gaps.
  var numbers: [Float] {
    (0..<rows).flatMap { i in (0..<columns).map { pointer[i * stride + $0] } }
  }
}
