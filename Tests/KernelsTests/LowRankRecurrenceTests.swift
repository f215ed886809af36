import Testing

@testable import Kernels

@Suite("The kernel of a diagonal plus low rank")
struct LowRankRecurrenceTests {
  /// A delta rule that is computed as a transition of low rank.
  private static func sample(_ decay: DeltaRecurrence.Decay, seed: Int) -> DeltaCase {
    var sample = DeltaCase(decay: decay, seed: UInt64(seed))
    sample.isLowRank = true
    return sample
  }

  @Test(
    "gives what the delta rules give, on any pieces of any sequence",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], 0..<40)
  func deltaRules(decay: DeltaRecurrence.Decay, seed: Int) {
    let sample = Self.sample(decay, seed: seed)
    DeltaRecurrenceTests.check(sample.deltaGradients(sample.run()), sample)
  }

  @Test(
    "gives the same bits by calls for a known state as by the separate calls",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], [3, 8, 21])
  func sameBits(decay: DeltaRecurrence.Decay, seed: Int) {
    var sample = Self.sample(decay, seed: seed)
    sample.pieces = [sample.tokens]
    let whole = sample.run()
    sample.isSplit = true
    let split = sample.run()
    #expect(whole.o == split.o)
    for (whole, split) in zip(gradients(whole), gradients(split)) { #expect(whole == split) }
  }

  @Test(
    "reads numbers of bf16 as what they are in fp32",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector], [3, 8, 21])
  func readsBFloat16(decay: DeltaRecurrence.Decay, seed: Int) {
    var sample = Self.sample(decay, seed: seed)
    sample.rounding = .bfloat16
    let short = sample.run()
    sample.rounding = .float
    let long = sample.run()
    #expect(short.o == long.o)
    for (short, long) in zip(gradients(short), gradients(long)) { #expect(short == long) }
  }

  @Test(
    "adds gradients that accumulate to what is there",
    arguments: [DeltaRecurrence.Decay.none, .scalar, .vector])
  func accumulation(decay: DeltaRecurrence.Decay) {
    var sample = Self.sample(decay, seed: 5)
    let plain = gradients(sample.run())
    sample.accumulated = 0.5
    for (plain, added) in zip(plain, gradients(sample.run())) {
      #expect(zip(plain, added).allSatisfy { abs($0 + 0.5 - $1) <= 1e-6 * max(1, abs($0)) })
    }
  }

  private func gradients(_ result: DeltaCase.Result) -> [[Float]] {
    [result.dq, result.dk, result.dv, result.da, result.db, result.dg]
  }
}
