import Foundation
import Tensors
import Testing

@testable import Kernels

@Suite("The delta-rule kernels")
struct DeltaRecurrenceTests {
  @Test(
    "outputs, states and gradients are the per-token recurrence's, on any pieces of any sequence",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], 0..<100)
  func property(decay: DeltaRecurrence.Decay, seed: Int) {
    let example = DeltaCase(decay: decay, seed: UInt64(seed))
    Self.check(example.run(), example)
  }

  /// Expects a case's results to be those of the per-token recurrence.
  static func check(_ result: DeltaCase.Result, _ example: DeltaCase) {
    let reference = example.reference
    let output = reference.forward()
    let gradients = reference.backward(
      dO: example.dO.map(Double.init), dFinal: example.dFinal.map(Double.init))
    func check(_ name: String, _ computed: [Float], _ expected: [Double]) {
      let error = relativeError(computed, expected)
      #expect(error < 2e-5, "\(name) is off by \(error): \(example)")
    }
    check("o", result.o, output.o)
    check("final state", result.final, output.final)
    check("dq", result.dq, gradients.q)
    check("dk", result.dk, gradients.k)
    check("dv", result.dv, gradients.v)
    check("dbeta", result.dbeta, gradients.beta)
    check("dinitial", result.dInitial, gradients.initial)
    if example.decay == .vector { check("dg", result.dg, gradients.g) }
    if example.decay == .scalar {
      let sums = (0..<example.tokens).map { t in
        gradients.g[t * example.keys..<(t + 1) * example.keys].reduce(0, +)
      }
      check("dg", result.dg, sums)
    }
  }

  @Test(
    "calls for a known state give the bits that the separate calls give",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], [3, 8, 21])
  func sameBits(decay: DeltaRecurrence.Decay, seed: Int) {
    var example = DeltaCase(decay: decay, seed: UInt64(seed))
    example.pieces = [example.tokens]
    let whole = example.run()
    example.isSplit = true
    let split = example.run()
    #expect(whole.o == split.o)
    #expect(whole.dq == split.dq)
    #expect(whole.dk == split.dk)
    #expect(whole.dv == split.dv)
    #expect(whole.dbeta == split.dbeta)
    #expect(whole.dg == split.dg)
  }

  @Test(
    "products of numbers of bf16 with states are of operands rounded to bf16",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], 1...12)
  func roundsOperands(decay: DeltaRecurrence.Decay, seed: Int) {
    var example = DeltaCase(decay: decay, seed: UInt64(seed))
    example.rounding = .bfloat16
    let short = example.run()
    example.rounding = .float
    let long = example.run()
    for (name, rounded, exact) in [
      ("o", short.o, long.o), ("final", short.final, long.final), ("dq", short.dq, long.dq),
      ("dk", short.dk, long.dk), ("dv", short.dv, long.dv), ("dbeta", short.dbeta, long.dbeta),
      ("dg", short.dg, long.dg), ("dInitial", short.dInitial, long.dInitial),
    ] {
      // Each operand is off by 2⁻⁹ of itself at most; a state of one to three channels carries that through all tokens.
      let error = relativeError(rounded, exact.map(Double.init))
      #expect(error <= 2e-2, "\(name) is off by \(error)")
    }
  }

  @Test(
    "gradients that accumulate are added to what is there",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector])
  func accumulation(decay: DeltaRecurrence.Decay) {
    var example = DeltaCase(decay: decay, seed: 5)
    let plain = example.run()
    example.accumulated = 0.5
    let added = example.run()
    for (plain, added) in [(plain.dq, added.dq), (plain.dk, added.dk), (plain.dv, added.dv)] {
      #expect(zip(plain, added).allSatisfy { abs($0 + 0.5 - $1) <= 1e-6 * max(1, abs($0)) })
    }
  }
}

/// ‖computed − expected‖ ÷ ‖expected‖; the norm of the difference where `expected` is zero or so small that
/// fp32 has no digits left for it.
func relativeError(_ computed: [Float], _ expected: [Double]) -> Double {
  precondition(computed.count == expected.count, "\(computed.count) of \(expected.count)")
  var (difference, norm) = (0.0, 0.0)
  for (x, y) in zip(computed, expected) {
    difference += (Double(x) - y) * (Double(x) - y)
    norm += y * y
  }
  let error = difference.squareRoot() / (norm < 1e-60 ? 1 : norm.squareRoot())
  return error.isNaN ? .infinity : error
}
