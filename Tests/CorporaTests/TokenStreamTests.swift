import Configuration
import Testing

@testable import Corpora

@Suite struct Streams {
  @Test func rowsGoOnFromStepToStepAndBeginAgain() throws {
    let folder = try DataFolder()
    // Three streams of 33 training tokens: three windows of 10 each.
    let corpus = try TokenStreams(
      file: folder.counting(110), length: 10, batch: 3, heldOut: 0.1)
    #expect(corpus.windows == 3)
    #expect(corpus.heldOut != nil)
    for step in 0..<7 {
      let batch = try corpus.whole(step)
      for row in 0..<3 {
        let start = Int32(33 * row + 10 * (step % 3))
        #expect(Array(batch.inputs[row * 10..<row * 10 + 10]) == Array(start..<start + 10))
        #expect(Array(batch.targets[row * 10..<row * 10 + 10]) == Array(start + 1..<start + 11))
      }
      #expect(corpus.continues(step: step) == (step % 3 > 0))
      #expect(batch.documentStarts == [[], [], []])
    }
  }

  @Test func aStreamThatBeginsAgainBeginsADocument() throws {
    let folder = try DataFolder()
    var file = try folder.counting(99)
    file.documents = .separator(39)
    let corpus = try TokenStreams(file: file, length: 10, batch: 3, heldOut: 0)
    #expect(try corpus.whole(0).documentStarts == [[0], [0, 7], [0]])
    #expect(try corpus.whole(1).documentStarts == [[], [], []])
    #expect(try corpus.whole(3).documentStarts == [[0], [0, 7], [0]])
  }

  @Test func whatDoesNotFitGivesOneSentence() throws {
    let folder = try DataFolder()
    let file = try folder.counting(40)
    let error = try #require(throws: CorpusError.self) {
      try TokenStreams(file: file, length: 10, batch: 4, heldOut: 0)
    }
    #expect(
      "\(error)"
        == "\(file.path) has 40 tokens to train on, too few for the training.batch of 4 streams with "
        + "more than a sequence.length of 10 each; choose a smaller training.batch, a shorter "
        + "sequence.length, or data.carry=false")
    var section = DataSection()
    section.carry = true
    #expect(section.problems.map(\.keys[0]) == ["data.carry"])
  }
}
