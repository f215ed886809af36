import Foundation
import Tensors
import Testing

@testable import Kernels

/// A random head of a recurrence whose state's rows decay each by a gate of their own.
private struct SlotCase {
  let reference: SlotReference
  let kernel: any RecurrenceKernel
  let plan: ChunkPlan
  let accumulates: Bool
  let inputs: [FloatRows]

  init(slots hasSlots: Bool, seed: UInt64) {
    var random = Draws(state: seed)
    func one<T>(_ choices: [T]) -> T { choices[Int.random(in: 0..<choices.count, using: &random)] }
    let (K, V) = (one([1, 3, 8, 16, 17, 33, 70, 300]), one([1, 2, 5, 16, 17, 40, 66]))
    let slots = hasSlots ? one([2, 3, 5, 16, 17, 40, 64]) : 0
    let rows = hasSlots ? slots : V
    let columns = hasSlots ? K + V : K
    let (T, chunk) = (one([1, 5, 64, 65, 130, 150]), one([7, 16, 64]))
    let strength: Float = one([0.001, 0.02, 0.5, 3, 8, 30, 1000, .infinity])
    func numbers(_ count: Int, _ size: Float = 1) -> [Float] {
      (0..<count).map { _ in Float.random(in: -size...size, using: &random) }
    }
    let (q, k, v) = (numbers(T * K), numbers(T * K), numbers(T * V))
    let dO = numbers(T * V)
    let (initial, dFinal) = (numbers(rows * columns), numbers(rows * columns))
    // Slots that are all overwritten by one token have one key, and queries no gradient but rounding.
    let g = (0..<T * rows).map { index -> Float in
      let isSlow = index % rows % 2 == 0
      let u = Float.random(in: 0...1, using: &random)
      if strength.isInfinite && !isSlow { return u < 0.2 ? -.infinity : -0.3 * u }
      return -u * (isSlow ? min(strength, 0.5) : strength)
    }
    let starts = (0..<one([0, 0, 1, 3])).map { _ in Int.random(in: 0..<T, using: &random) }
    let scale: Float = hasSlots ? 1 : 0.7
    kernel =
      hasSlots
      ? GatedSlotRecurrence(keyWidth: K, valueWidth: V, slots: slots, chunkLength: chunk)
      : DiagonalRecurrence(
        .value, keyDimension: K, valueDimension: V, scale: scale, chunkLength: chunk)
    plan = ChunkPlan(tokens: T, starts: starts.sorted(), chunkLength: chunk)
    accumulates = seed % 3 == 0
    inputs = [(q, K), (k, K), (v, V), (g, rows), (dO, V), (initial, columns), (dFinal, columns)]
      .map { FloatRows($0.0, $0.1, 0) }
    func double(_ x: [Float]) -> [Double] { x.map(Double.init) }
    reference = SlotReference(
      tokens: T, keys: K, values: V, slots: slots, scale: Double(scale), q: double(q),
      k: double(k), v: double(v), g: double(g), dO: double(dO), starts: Set(starts),
      initial: double(initial), dFinal: double(dFinal))
  }

  /// All results by name, with the calls for a state that is known or that arrives.
  ///
  /// - Parameter rounding: Makes queries, keys and values numbers of bf16, which the kernel gets as such or in fp32.
  func run(known: Bool, rounding: Operand.Kind? = nil) -> [String: [Float]] {
    let (T, K, V) = (reference.tokens, reference.keys, reference.values)
    let count = reference.rows * reference.columns
    let widths = ["o": V, "dq": K, "dk": K, "dv": V, "dg": reference.rows]
    let start: Float = accumulates ? 0 : .nan
    let outputs = widths.mapValues { FloatRows([Float](repeating: start, count: T * $0), 1, 0) }
    let states = ["final", "initial", "sum", "back"].map { ($0, FloatRows(count: count)) }
    let state = Dictionary(uniqueKeysWithValues: states)
    let map = FloatRows(count: reference.rows)
    let (kept, back) = (
      FloatRows(count: kernel.keptCount(plan)), FloatRows(count: kernel.keptBackwardCount(plan))
    )
    let scratch = FloatRows(count: kernel.scratchCount)
    func read(_ index: Int, _ width: Int) -> TokenRows {
      TokenRows(inputs[index].pointer, stride: width)
    }
    func write(_ name: String) -> MutableTokenRows {
      MutableTokenRows(
        outputs[name]!.pointer, stride: widths[name]!, accumulates: accumulates)
    }
    let head = RecurrenceHead(
      q: inputs[0].read(from: 0, rounding), k: inputs[1].read(from: 0, rounding),
      v: inputs[2].read(from: 0, rounding), g: read(3, reference.rows))
    let gradient = RecurrenceGradient(
      dO: read(4, V), dq: write("dq"), dk: write("dk"), dv: write("dv"), dg: write("dg"))
    let (o, initial, dFinal) = (write("o"), inputs[5].pointer, inputs[6].pointer)
    if known {
      kernel.forward(
        head, plan, kept: kept.pointer, initial: initial, o: o, final: state["final"]!.pointer,
        scratch: scratch.pointer)
      kernel.backward(
        head, gradient, plan, kept: kept.pointer, keptBackward: back.pointer, final: dFinal,
        initial: state["initial"]!.pointer, scratch: scratch.pointer)
    } else {
      let algebra = StateMap(
        kernel.mapKind, keyDimension: kernel.keyDimension, valueDimension: kernel.valueDimension)
      kernel.summarize(
        head, plan, kept: kept.pointer, map: map.pointer, state: state["sum"]!.pointer,
        scratch: scratch.pointer)
      for c in plan.chunks.indices.reversed() {
        kernel.outputIntra(
          head, plan, chunk: c, kept: kept.pointer, o: o, scratch: scratch.pointer)
      }
      algebra.combine(
        map.pointer, initial, adding: state["sum"]!.pointer, into: state["final"]!.pointer)
      kernel.begin(initial, plan, kept: kept.pointer)
      for c in plan.chunks.indices {
        kernel.outputInter(
          head, plan, chunk: c, kept: kept.pointer, o: o, scratch: scratch.pointer)
      }
      kernel.summarizeBackward(
        head, gradient, plan, kept: kept.pointer, keptBackward: back.pointer,
        state: state["back"]!.pointer, scratch: scratch.pointer)
      for c in plan.chunks.indices {
        kernel.backwardIntra(
          head, gradient, plan, chunk: c, kept: kept.pointer, keptBackward: back.pointer,
          scratch: scratch.pointer)
      }
      algebra.combineTransposed(
        map.pointer, dFinal, adding: state["back"]!.pointer, into: state["initial"]!.pointer)
      kernel.beginBackward(dFinal, plan, keptBackward: back.pointer)
      for c in plan.chunks.indices.reversed() {
        kernel.backwardInter(
          head, gradient, plan, chunk: c, kept: kept.pointer, keptBackward: back.pointer,
          scratch: scratch.pointer)
      }
    }
    var results = outputs.mapValues { $0.numbers }
    for name in ["final", "initial"] { results[name] = state[name]!.numbers }
    withExtendedLifetime((map, kept, back, scratch)) {}
    return results
  }
}

private struct Draws: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ (state >> 33)) &* 0xff51_afd7_ed55_8ccd
  }
}

@Suite("States whose rows decay each by themselves")
struct SlotRecurrenceTests {
  @Test(
    "Outputs, states and gradients are those of the per-token reference, with the same bits for a known state",
    arguments: [false, true])
  func reference(slots: Bool) {
    for seed in 0..<60 as Range<UInt64> {
      let sample = SlotCase(slots: slots, seed: seed)
      let right = sample.reference.results()
      let (known, arriving) = (sample.run(known: true), sample.run(known: false))
      for (name, numbers) in right {
        #expect(relativeError(arriving[name]!, numbers) <= 1e-5, "\(name), seed \(seed)")
        if name == "final" || name == "initial" {
          #expect(relativeError(known[name]!, numbers) <= 1e-5, "\(name), seed \(seed)")
        } else {
          #expect(known[name]! == arriving[name]!, "\(name), seed \(seed)")
        }
      }
    }
  }

  @Test("Numbers of bf16 are what they are in fp32", arguments: [false, true])
  func readsBFloat16(slots: Bool) {
    for seed in 0..<10 as Range<UInt64> {
      let sample = SlotCase(slots: slots, seed: seed)
      for known in [false, true] {
        #expect(
          sample.run(known: known, rounding: .bfloat16)
            == sample.run(known: known, rounding: .float), "seed \(seed)")
      }
    }
  }
}
