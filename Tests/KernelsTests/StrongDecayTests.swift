import Foundation
import Tensors
import Testing

@testable import Kernels

/// Recurrences whose decay comes from data.
enum GatedRecurrence: CaseIterable, Sendable {
  case scalar, vector, delta, deltaVector
  /// The delta rules again, as transitions of low rank.
  case lowRank, lowRankVector

  var isVector: Bool { self == .vector || self == .deltaVector || self == .lowRankVector }
  var isDelta: Bool { self == .delta || self == .deltaVector || isLowRank }
  var isLowRank: Bool { self == .lowRank || self == .lowRankVector }
}

/// A head whose log decays are `g = −e^A softplus(a + b)`, with gradients of `A` and `b` in Double and by the kernels.
private struct StrongDecay {
  let recurrence: GatedRecurrence
  let tokens = 150, K = 32, V = 16
  let q, k, v, beta, dO, a, bias, rate: [Float]
  /// Gates a token.
  var gates: Int { recurrence.isVector ? K : 1 }

  init(_ recurrence: GatedRecurrence, mean: Double, seed: UInt64) {
    self.recurrence = recurrence
    let (tokens, K, V) = (tokens, K, V)
    func normals(_ purpose: UInt64, _ count: Int, _ deviation: Double = 1) -> [Float] {
      let random = Random(seed: seed, purpose: purpose)
      return (0..<count).map { Float(deviation * random.normal(at: UInt64($0))) }
    }
    let gates = recurrence.isVector ? K : 1
    q = normals(1, tokens * K)
    var keys = normals(2, tokens * K)
    for t in 0..<tokens {
      let length = keys[t * K..<(t + 1) * K].reduce(0) { $0 + $1 * $1 }.squareRoot()
      for d in 0..<K { keys[t * K + d] /= length }
    }
    k = keys
    v = normals(3, tokens * V)
    dO = normals(4, tokens * V)
    beta = normals(5, tokens).map { 1 / (1 + Float(exp(-Double($0)))) }
    a = normals(6, tokens * gates, 3)
    bias = normals(7, gates, 0.1)
    let (a, bias) = (a, bias)
    rate = (0..<gates).map { head in
      let sum = (0..<tokens).reduce(0.0) {
        $0 + log1p(exp(Double(a[$1 * gates + head]) + Double(bias[head])))
      }
      return Float(log(mean / (sum / Double(tokens))))
    }
  }

  /// What a token's gate is, and its slope along `b`.
  private func gate(_ index: Int) -> (g: Double, slope: Double) {
    let head = index % gates
    let (x, factor) = (Double(a[index]) + Double(bias[head]), -exp(Double(rate[head])))
    return (factor * log1p(exp(x)), factor / (1 + exp(-x)))
  }

  /// Gradients of `A` and `b`, token by token in Double.
  func expected() -> (rate: [Double], bias: [Double]) {
    let width = gates
    let slopes = (0..<tokens * width).map { gate($0) }
    let g = (0..<tokens * K).map { slopes[recurrence.isVector ? $0 : $0 / K].g }
    let start = [Double](repeating: 0, count: K * V)
    let dg: [Double]
    if recurrence.isDelta {
      let reference = DeltaReference(
        tokens: tokens, keys: K, values: V, q: q.map(Double.init), k: k.map(Double.init),
        v: v.map(Double.init), beta: beta.map(Double.init), g: g, initial: start)
      dg = reference.backward(dO: dO.map(Double.init), dFinal: start).g
    } else {
      let reference = DiagonalReference(
        tokens: tokens, keyDimension: K, valueDimension: V, scale: 1, q: q.map(Double.init),
        k: k.map(Double.init), v: v.map(Double.init), g: g, starts: [], initial: start)
      dg = reference.backward(reference.forward(), dO: dO.map(Double.init), dFinal: start).g
    }
    var result = (
      rate: [Double](repeating: 0, count: width), bias: [Double](repeating: 0, count: width)
    )
    for (index, dg) in dg.enumerated() {
      let gate = recurrence.isVector ? index : index / K
      result.rate[gate % width] += dg * slopes[gate].g
      result.bias[gate % width] += dg * slopes[gate].slope
    }
    return result
  }

  /// The same by the kernels, in fp32.
  func computed() -> (rate: [Float], bias: [Float]) {
    let kernel: any RecurrenceKernel =
      switch recurrence {
      case .scalar: DiagonalRecurrence(.scalar, keyDimension: K, valueDimension: V)
      case .vector: DiagonalRecurrence(.vector, keyDimension: K, valueDimension: V)
      case .delta: DeltaRecurrence(.scalar, keyDimension: K, valueDimension: V)
      case .deltaVector: DeltaRecurrence(.vector, keyDimension: K, valueDimension: V)
      case .lowRank: LowRankRecurrence(.scalar, keyDimension: K, valueDimension: V)
      case .lowRankVector: LowRankRecurrence(.vector, keyDimension: K, valueDimension: V)
      }
    let plan = ChunkPlan(tokens: tokens, chunkLength: kernel.chunkLength)
    let inputs = [(q, K), (k, K), (v, V), (beta, 1), (dO, V)].map { FloatRows($0.0, $0.1, 0) }
    let (a, g) = (FloatRows(a, gates, 0), FloatRows(count: tokens * gates))
    SoftplusGate.forward(
      a.pointer, rate: rate, bias: bias, into: g.pointer, rows: 0..<tokens, heads: gates)
    // a = −e^g ⊙ k, and b as k is β k: the state is read decayed.
    let (reads, writes) = (FloatRows(count: tokens * K), FloatRows(count: tokens * K))
    for i in 0..<tokens * K {
      let g = max(g.pointer[recurrence.isVector ? i : i / K], -80)
      reads.pointer[i] = Float(-exp(Double(g)) * Double(k[i]))
      writes.pointer[i] = beta[i / K] * k[i]
    }
    let outputs = [V, K, K, V, gates, 1, K, K].map { ($0, FloatRows(count: tokens * $0)) }
    func read(_ rows: FloatRows, _ width: Int) -> TokenRows {
      TokenRows(rows.pointer, stride: width)
    }
    func write(_ index: Int) -> MutableTokenRows {
      MutableTokenRows(outputs[index].1.pointer, stride: outputs[index].0)
    }
    let head = RecurrenceHead(
      q: read(inputs[0], K), k: recurrence.isLowRank ? read(writes, K) : read(inputs[1], K),
      v: read(inputs[2], V), g: read(g, gates),
      beta: recurrence.isDelta ? read(inputs[3], 1) : nil, a: read(reads, K), b: read(writes, K))
    let gradient = RecurrenceGradient(
      dO: read(inputs[4], V), dq: write(1), dk: write(2), dv: write(3), dg: write(4),
      dbeta: recurrence.isDelta ? write(5) : nil, da: write(6), db: write(7))
    let (kept, keptBackward) = (
      FloatRows(count: kernel.keptCount(plan)), FloatRows(count: kernel.keptBackwardCount(plan))
    )
    let (scratch, state) = (FloatRows(count: kernel.scratchCount), FloatRows(count: K * V))
    kernel.forward(
      head, plan, kept: kept.pointer, initial: nil, o: write(0), final: state.pointer,
      scratch: scratch.pointer)
    kernel.backward(
      head, gradient, plan, kept: kept.pointer, keptBackward: keptBackward.pointer, final: nil,
      initial: state.pointer, scratch: scratch.pointer)
    if recurrence.isLowRank {
      // a is a function of g, too.
      for i in 0..<tokens * K {
        let gate = recurrence.isVector ? i : i / K
        guard g.pointer[gate] >= -80 else { continue }
        outputs[4].1.pointer[gate] += reads.pointer[i] * outputs[6].1.pointer[i]
      }
    }
    var result = (
      rate: [Float](repeating: 0, count: gates), bias: [Float](repeating: 0, count: gates)
    )
    let da = FloatRows(count: tokens * gates)
    SoftplusGate.backward(
      a.pointer, rate: rate, bias: bias, g.pointer, outputs[4].1.pointer, into: da.pointer,
      dRate: &result.rate, dBias: &result.bias, rows: 0..<tokens, heads: gates,
      accumulate: false)
    withExtendedLifetime(
      (inputs, outputs, a, g, da, reads, writes, kept, keptBackward, scratch, state)
    ) {}
    return result
  }
}

@Suite struct StrongDecayTests {
  @Test(
    "where decays are strong, the gradients of their rate and bias keep fp32's digits",
    arguments: GatedRecurrence.allCases, [47.0, 200, 1354])
  func gradientsOfRateAndBias(recurrence: GatedRecurrence, mean: Double) {
    var (rates, biases): ([Float], [Float]) = ([], [])
    var (expectedRates, expectedBiases): ([Double], [Double]) = ([], [])
    for seed in 0..<8 {
      let head = StrongDecay(recurrence, mean: mean, seed: UInt64(seed))
      let (computed, expected) = (head.computed(), head.expected())
      rates += computed.rate
      biases += computed.bias
      expectedRates += expected.rate
      expectedBiases += expected.bias
    }
    let errors = (
      relativeError(rates, expectedRates), relativeError(biases, expectedBiases)
    )
    #expect(errors.0 <= 5e-5, "the rate's gradient is off by \(errors.0)")
    #expect(errors.1 <= 5e-5, "the bias's gradient is off by \(errors.1)")
  }

  @Test("no gradient passes through the clamp of a log decay", arguments: GatedRecurrence.allCases)
  func clampedDecaysHaveNoGradient(recurrence: GatedRecurrence) {
    var head = StrongDecay(recurrence, mean: 1e6, seed: 1).computed()
    // e^A softplus is beyond 80 for all tokens whose softplus is above 1e-4, and infinite with an infinite rate.
    #expect(head.rate.allSatisfy { $0.isFinite } && head.bias.allSatisfy { $0.isFinite })
    head = StrongDecay(recurrence, mean: 1e300, seed: 1).computed()
    #expect(head.rate.allSatisfy { $0 == 0 } && head.bias.allSatisfy { $0 == 0 })
  }
}
