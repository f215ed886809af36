import Testing

@testable import Corpora

@Suite struct TextCorpora {
  private func corpus(
    _ files: [(file: TokenFile, weight: Double)], length: Int = 10, batch: Int = 4,
    seed: UInt64 = 1, heldOut: Double = 0.1
  ) throws -> TextCorpus {
    try TextCorpus(files: files, length: length, batch: batch, seed: seed, heldOut: heldOut)
  }

  @Test func targetsAreTheNextTokensOfTheFile() throws {
    let folder = try DataFolder()
    let corpus = try corpus([(folder.counting(2000), 1)])
    #expect(corpus.vocabulary == 2000)
    for step in 0..<5 {
      let batch = try corpus.whole(step)
      for row in 0..<4 {
        let inputs = batch.inputs[row * 10..<row * 10 + 10]
        #expect(Array(inputs) == (0..<10).map { inputs.first! + $0 })
        #expect(batch.targets[row * 10..<row * 10 + 10].elementsEqual(inputs.map { $0 + 1 }))
        #expect(batch.targets[row * 10 + 9] < 1800, "trained on a held-out token")
      }
      #expect(batch.documentStarts == [[], [], [], []])
      #expect(batch.origins.isEmpty)
    }
  }

  @Test func anEpochHasEveryWindowOnceAtAnOffsetOfItsOwn() throws {
    let folder = try DataFolder()
    let corpus = try corpus([(folder.counting(2000), 1)])
    // 1800 tokens to train on: 179 windows of 10 and their next token, wherever the first begins.
    var offsets: Set<Int> = []
    var orders: Set<[Int]> = []
    for epoch in 0..<8 {
      let starts = (0..<179).map { corpus.window(sample: epoch * 179 + $0).start }
      let offset = starts.min()!
      #expect(starts.sorted() == (0..<179).map { offset + 10 * $0 })
      #expect(starts.max()! + 10 < 1800)
      offsets.insert(offset)
      orders.insert(starts.map { $0 - offset })
    }
    #expect(offsets.count > 3)
    #expect(offsets.max()! < 10)
    #expect(orders.count == 8)
  }

  @Test(arguments: [11, 12, 19, 20, 21, 29])
  func theShortestFilesAreUsedWhole(count: Int) throws {
    let folder = try DataFolder()
    let corpus = try corpus([(folder.counting(count), 1)], heldOut: 0)
    let starts = (0..<300).map { corpus.window(sample: $0).start }
    #expect(starts.min()! == 0)
    #expect(starts.max()! <= count - 11)
    // The last token is the target of the last position of some window, unless the offset cannot reach it.
    #expect(starts.max()! >= min(count - 11, 9))
    #expect(corpus.heldOut == nil)
  }

  @Test func anyPartOfABatchIsAPartOfTheWholeOne() throws {
    let folder = try DataFolder()
    let corpus = try corpus([
      (folder.counting(500), 1), (folder.counting(700, "b.bin", from: 500), 2),
    ])
    for step in [0, 3, 100] {
      let whole = try corpus.whole(step)
      for rows in [0..<1, 1..<4, 2..<2] {
        for positions in [0..<10, 0..<3, 3..<4, 7..<10, 5..<5] {
          var part = TokenBatch(rows: rows, positions: positions)
          try corpus.fill(&part, step: step)
          let indices = rows.flatMap { row in positions.map { row * 10 + $0 } }
          #expect(part.inputs == indices.map { whole.inputs[$0] })
          #expect(part.targets == indices.map { whole.targets[$0] })
        }
      }
    }
  }

  @Test func anEpochOfAFileInAMixtureHasEveryWindowOnce() throws {
    let folder = try DataFolder()
    // 269 tokens to train on: 26 windows.
    let mixed = try corpus([
      (folder.counting(300, "a.bin"), 0.1), (folder.counting(900, "b.bin"), 0.9),
    ])
    let samples = (0..<10_240).map { mixed.window(sample: $0) }
    let starts = samples.filter { $0.source == 0 }.map(\.start)
    #expect(abs(starts.count - 1024) <= 1)
    // Within a block samples come in any order, so that epochs overlap by a few.
    let counts = Dictionary(grouping: starts, by: { $0 / 10 }).mapValues(\.count)
    #expect(counts.count >= 26)
    #expect(Set(starts[..<24]).count == 24)
  }

  @Test func theSeedDecidesAndNothingElse() throws {
    let folder = try DataFolder()
    let file = try folder.counting(2000)
    let one = try corpus([(file, 1)])
    #expect(try corpus([(file, 1)]).whole(7).inputs == one.whole(7).inputs)
    #expect(try corpus([(file, 1)], seed: 2).whole(7).inputs != one.whole(7).inputs)
    // The same samples, whatever number of them makes a step.
    let wide = try corpus([(file, 1)], batch: 8)
    #expect(try wide.whole(3).inputs == one.whole(6).inputs + one.whole(7).inputs)
  }

  @Test func heldOutWindowsPredictEachHeldOutTokenOnce() throws {
    let folder = try DataFolder()
    let corpus = try corpus([
      (folder.counting(1000, "a.bin"), 1), (folder.counting(500, "b.bin", from: 1000), 1),
    ])
    let heldOut = try #require(corpus.heldOut)
    let steps = try #require(heldOut.steps)
    var targets: [Int32] = []
    for step in 0..<steps {
      let batch = try heldOut.whole(step)
      for (input, target) in zip(batch.inputs, batch.targets) where target >= 0 {
        #expect(target == input + 1)
        targets.append(target)
      }
    }
    #expect(targets == Array(901..<1000) + Array(1451..<1500))
    #expect(try heldOut.whole(steps).targets.allSatisfy { $0 == -1 })
  }

  @Test func aFileIsReadAsOneStream() throws {
    let folder = try DataFolder()
    let file = try folder.counting(25)
    let stream = SequentialWindows([(file, 0..<25)], length: 10, batch: 1, vocabulary: 25)
    #expect(stream.steps == 3)
    let batches = try (0..<3).map { try stream.whole($0) }
    #expect(batches.flatMap(\.inputs) == (0..<25).map { $0 } + [0, 0, 0, 0, 0])
    #expect(
      batches.flatMap(\.targets) == (1..<25).map { $0 } + Array(repeating: -1, count: 6))
    // A shard beyond the end, and one whose next token lies beyond it.
    for positions in [4..<5, 5..<8, 2..<7, 7..<10] {
      var part = TokenBatch(rows: 0..<1, positions: positions)
      try stream.fill(&part, step: 2)
      #expect(part.inputs == positions.map { batches[2].inputs[$0] })
      #expect(part.targets == positions.map { batches[2].targets[$0] })
    }
  }

  @Test func dataThatDoesNotFitGivesOneSentence() throws {
    let folder = try DataFolder()
    let short = try folder.counting(20)
    let error = try #require(throws: CorpusError.self) {
      try corpus([(short, 1)], length: 18)
    }
    #expect(
      "\(error)"
        == "\(short.path) has 20 tokens, 2 of them held out by data.held_out, but a sequence.length "
        + "of 18 needs 19 to train on; choose a shorter sequence.length")
    // Where the vocabulary is given, a token beyond it is found when it is read.
    let beyond = try TextCorpus(
      files: [(short, 1)], length: 18, batch: 1, seed: 1, heldOut: 0, vocabulary: 17)
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: short.path, position: 17, token: 17, vocabulary: 17)
    ) { try beyond.whole(0) }
    let text = try TokenFile(path: folder.write("a.txt", "some text to read".utf8))
    let mixed = try #require(throws: CorpusError.self) {
      try corpus([(text, 1), (short, 1)], length: 4)
    }
    #expect("\(mixed)".contains("holds tokens of 1 bytes and \(short.path) tokens of 2"))
    #expect(try corpus([(text, 1)], length: 4).vocabulary == 256)
    #expect(try corpus([(text, 1)], length: 4).tokensAreBytes)
    #expect(
      try TextCorpus(
        files: [(short, 1)], length: 4, batch: 1, seed: 1, heldOut: 0, vocabulary: 32
      ).vocabulary == 32)
  }
}
