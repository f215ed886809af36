import Testing

@testable import Corpora

@Suite struct RecallTasks {
  private func task(length: Int = 512, batch: Int = 16, seed: UInt64 = 1) throws -> RecallTask {
    try RecallTask(keys: 4, values: 4, length: length, batch: batch, seed: seed)
  }

  @Test func everyQueryIsAnsweredByTheOnePairOfItsKey() throws {
    let task = try task()
    #expect(task.vocabulary == 25)
    #expect(task.chance == 0.25)
    var queries = 0
    for step in 0..<10 {
      let batch = try task.whole(step)
      for row in 0..<16 {
        let inputs = Array(batch.inputs[row * 512..<row * 512 + 512])
        let pairs = inputs.indices.filter { inputs[$0] < 16 }
        #expect(pairs.allSatisfy { $0 < 128 })
        #expect(Set(pairs.map { inputs[$0] / 4 }) == [0, 1, 2, 3])
        #expect(pairs.count == 4)
        for position in 0..<512 {
          let (target, origin) = (
            batch.targets[row * 512 + position], batch.origins[row * 512 + position]
          )
          guard (16..<20).contains(inputs[position]) else {
            #expect(target == -1 && origin == -1)
            #expect(inputs[position] == 24 || pairs.contains(position))
            continue
          }
          if position >= 128 { queries += 1 }
          #expect(origin < position)
          let pair = inputs[Int(origin)]
          #expect(pair / 4 == inputs[position] - 16)
          #expect(target == 20 + pair % 4)
        }
      }
    }
    // A quarter of the 384 places after the pairs, in 160 sequences.
    #expect(abs(Double(queries) / (160 * 384) - 0.25) < 0.01)
  }

  @Test func keysValuesAndPlacesAreEvenlySpread() throws {
    let task = try task()
    var values = [Int](repeating: 0, count: 16)
    var queries = [Int](repeating: 0, count: 4)
    var early = 0
    for step in 0..<40 {
      for (index, token) in try task.whole(step).inputs.enumerated() {
        if token < 16 {
          values[Int(token)] += 1
          if index % 512 < 64 { early += 1 }
        } else if token < 20 {
          queries[Int(token) - 16] += 1
        }
      }
    }
    // 640 sequences with 4 pairs each.
    #expect(values.allSatisfy { abs($0 - 160) < 50 })
    #expect(abs(early - 1280) < 150)
    let mean = queries.reduce(0, +) / 4
    #expect(queries.allSatisfy { abs($0 - mean) < mean / 20 })
  }

  @Test func anyPartOfABatchIsAPartOfTheWholeOne() throws {
    let task = try task(length: 64, batch: 3)
    let whole = try task.whole(5)
    for (rows, positions) in [(0..<3, 0..<16), (1..<2, 10..<40), (2..<3, 63..<64), (0..<3, 9..<9)] {
      var part = TokenBatch(rows: rows, positions: positions)
      task.fill(&part, step: 5)
      let indices = rows.flatMap { row in positions.map { row * 64 + $0 } }
      #expect(part.inputs == indices.map { whole.inputs[$0] })
      #expect(part.targets == indices.map { whole.targets[$0] })
      #expect(part.origins == indices.map { whole.origins[$0] })
    }
  }

  @Test func samplesDifferAndEvaluationHasItsOwn() throws {
    let task = try task(length: 64)
    let heldOut = try #require(task.heldOut)
    #expect(try task.whole(0).inputs == (try self.task(length: 64)).whole(0).inputs)
    #expect(try task.whole(0).inputs != task.whole(1).inputs)
    #expect(try task.whole(0).inputs != heldOut.whole(0).inputs)
    #expect(try task.whole(0).inputs != (try self.task(length: 64, seed: 2)).whole(0).inputs)
    #expect(heldOut.steps == nil)
  }

  @Test func aSequenceWithoutRoomForThePairsIsRefused() throws {
    #expect(throws: Never.self) { try task(length: 16) }
    let error = try #require(throws: CorpusError.self) { try task(length: 15) }
    #expect(
      "\(error)".hasPrefix(
        "the recall task writes 4 pairs into the first 3 tokens of a sequence.length of 15"))
  }
}
