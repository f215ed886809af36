import SequenceParallel
import Tensors
import Testing

@Suite("Memories that tokens are routed to")
struct MemoryTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "Outputs and all gradients are those of the per-token reference, on any partition",
    arguments: MemoryCase.Kind.allCases, ExchangeKind.allCases)
  func reference(kind: MemoryCase.Kind, exchange: ExchangeKind) throws {
    var compared = 0
    for seed in 1...70 as ClosedRange<UInt64> {
      let test = MemoryCase(kind, seed: seed)
      let expected = test.expected()
      guard expected.margin > 1e-5 else { continue }
      compared += 1
      let result = try test.run(exchange)
      let comment: Comment = "\(test.sequence), memories \(test.memories), \(test.chosen) each"
      #expect(distance(result.y, expected.y) < 1e-5, comment)
      #expect(distance(result.dx, expected.dx) < 2e-5, comment)
      #expect(distance(result.weights, expected.weights) < 2e-5, comment)
    }
    #expect(compared > 50)
  }

  @Test(
    "running a region or a segment again, or both, sends nothing and changes nothing",
    arguments: 100..<110)
  func recomputationIsSilent(seed: UInt64) throws {
    let test = MemoryCase(.gatedDelta, seed: seed)
    let once = try test.run(.chain, recomputes: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try test.run(.chain, recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages)
      #expect(once.stateBytes == again.stateBytes)
      #expect(once.y == again.y && once.dx == again.dx && once.weights == again.weights)
    }
  }

  @Test("What crosses does not depend on where tokens go, nor on how many there are")
  func bytes() throws {
    for seed in 200...230 as ClosedRange<UInt64> {
      let test = MemoryCase(.gatedDelta, seed: seed)
      // Carries between segments are counted beside.
      guard test.sequence.segments.count == 1 else { continue }
      let result = try test.run(.chain)
      let groups = test.memories + (test.hasShared ? 1 : 0)
      let (K, V) = (test.heads * test.keyDimension, test.heads * test.valueDimension)
      let rows = test.sequence.rows
      let state = 4 * rows * groups * test.heads * test.keyDimension * test.valueDimension
      let halo = 4 * rows * groups * (test.taps - 1) * (2 * K + V)
      for rank in 0..<test.sequence.ranks {
        let messages = (rank + 1 < test.sequence.ranks ? 1 : 0) + (rank > 0 ? 1 : 0)
        #expect(result.stateBytes[rank] == messages * state)
        // A header of each message, of states in any number of slices.
        let headers = result.bytes[rank] - messages * halo
        #expect(headers % 64 == 0 && (2 * messages...9 * messages).contains(headers / 64))
      }
    }
  }
}
