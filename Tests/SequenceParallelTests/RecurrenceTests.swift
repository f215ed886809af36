import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

@Suite("Recurrences over any partition")
struct RecurrenceTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "Outputs, final states and all gradients are those of the per-token reference",
    arguments: RecurrenceCase.Kind.allCases)
  func reference(kind: RecurrenceCase.Kind) throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let sample = RecurrenceCase(kind, seed: seed)
      guard sample.isConditioned else { continue }
      let expected = sample.expected()
      for exchange in ExchangeKind.allCases {
        let problems = sample.problems(
          try sample.run(exchange), expected,
          tolerance: kind.isDelta || kind.isLowRank ? 2e-5 : 1e-5)
        #expect(problems == [], "\(exchange): \(sample)")
      }
    }
  }

  @Test(
    "A gather and a scan send what the formulas say, whatever the number of tokens",
    arguments: RecurrenceCase.Kind.allCases, [1, 2, 5, 8])
  func bytesOfOthers(kind: RecurrenceCase.Kind, ranks: Int) throws {
    for tokens in [3, 1024] {
      let sample = RecurrenceCase(kind, seed: 1, evenly: (tokens, ranks))
      let maps = sample.mapCount
      for (rank, result) in try sample.run(.gather).enumerated() {
        let elements = (ranks - 1) * (sample.stateCount + maps + sample.stateCount)
        #expect(result.stateBytes == 4 * elements, "gather, rank \(rank)")
      }
      for (rank, result) in try sample.run(.scan).enumerated() {
        let strides = (0..<3).map { 1 << $0 }
        let messages =
          strides.count { rank + $0 < ranks } + strides.count { rank - $0 >= 0 }
        #expect(
          result.stateBytes == 4 * messages * (sample.stateCount + maps), "scan, rank \(rank)")
      }
    }
  }

  @Test(
    "A rank sends one state forward and one gradient back, whatever the number of tokens",
    arguments: RecurrenceCase.Kind.allCases, [1, 2, 5])
  func bytes(kind: RecurrenceCase.Kind, ranks: Int) throws {
    for tokens in [3, 1024, 4096] {
      let sample = RecurrenceCase(kind, seed: 1, evenly: (tokens, ranks))
      for (rank, result) in try sample.run().enumerated() {
        let directions = (rank < ranks - 1 ? 1 : 0) + (rank > 0 ? 1 : 0)
        #expect(result.stateBytes == 4 * sample.stateCount * directions)
        #expect((result.haloBytes > 0) == (directions > 0))
      }
    }
  }

  @Test("The same case twice is bitwise equal", arguments: RecurrenceCase.Kind.allCases)
  func repeats(kind: RecurrenceCase.Kind) throws {
    for seed in 100...105 as ClosedRange<UInt64> {
      let sample = RecurrenceCase(kind, seed: seed)
      #expect(try sample.run() == sample.run(), "\(sample)")
    }
  }
}
