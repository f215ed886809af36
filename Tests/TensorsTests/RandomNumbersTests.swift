import Testing

@testable import Tensors

@Suite struct RandomNumbersTests {
  /// The known answers published with Random123.
  @Test func philoxGivesThePublishedAnswers() {
    #expect(
      Random.philox(counter: [0, 0, 0, 0], key: (0, 0))
        == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    #expect(
      Random.philox(
        counter: [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        key: (0xa409_3822, 0x299f_31d0)) == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
  }

  @Test func uniformNumbersFillTheUnitInterval() {
    let random = Random(seed: 7, purpose: 1)
    let draws = (0..<10_000).map { random.uniform(at: $0) }
    #expect(draws.allSatisfy { $0 >= 0 && $0 < 1 })
    #expect(abs(draws.reduce(0, +) / 10_000 - 0.5) < 0.015)
  }

  @Test func normalNumbersHaveUnitVariance() {
    let random = Random(seed: 7, purpose: 2)
    let draws = (0..<20_000).map { random.normal(at: $0) }
    let mean = draws.reduce(0, +) / 20_000
    let variance = draws.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 20_000
    #expect(abs(mean) < 0.03)
    #expect(abs(variance - 1) < 0.05)
  }

  @Test func purposesAndSeedsAreIndependent() {
    let a = Random(seed: 1, purpose: 1).bits(at: 5)
    #expect(a != Random(seed: 2, purpose: 1).bits(at: 5))
    #expect(a != Random(seed: 1, purpose: 2).bits(at: 5))
    #expect(a == Random(seed: 1, purpose: 1).bits(at: 5))
  }
}
