import Configuration
import Testing

@testable import Corpora

@Suite("Targets from a file of labels")
struct LabelTests {
  /// A file of 12 tokens with labels of two bytes.
  private func file(_ folder: DataFolder, labels: [Int]) throws -> TokenFile {
    var file = try folder.counting(12)
    let bytes = labels.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    file.labels = try Labels(path: folder.write("labels.bin", bytes), tokenBytes: 0, of: file)
    return file
  }

  private let labels = [3, 0xFFFF, 5, 6, 7, 0xFFFF, 0, 1, 2, 20, 4, 9]

  @Test("Every position has its own token's label, and all bits set mean none")
  func targets() throws {
    let folder = try DataFolder()
    let file = try file(folder, labels: labels)
    let windows = SequentialWindows([(file, 0..<12)], length: 4, batch: 1, vocabulary: 21)
    #expect(windows.steps == 3)
    let targets = try (0..<3).flatMap { try windows.whole($0).targets }
    #expect(targets == labels.map { $0 == 0xFFFF ? -1 : Int32($0) })
    #expect(try (0..<3).flatMap { try windows.whole($0).inputs } == Array(0..<12))
  }

  @Test("A part of a window is a part of the whole one; beyond the end nothing is asked")
  func parts() throws {
    let folder = try DataFolder()
    let file = try file(folder, labels: labels)
    let windows = SequentialWindows([(file, 0..<12)], length: 8, batch: 1, vocabulary: 21)
    #expect(try windows.whole(1).targets == [2, 20, 4, 9, -1, -1, -1, -1])
    for positions in [0..<3, 3..<8, 5..<5] {
      var part = TokenBatch(rows: 0..<1, positions: positions)
      try windows.fill(&part, step: 0)
      #expect(part.targets == Array(try windows.whole(0).targets[positions]))
    }
  }

  @Test("Where documents begin takes no label away")
  func documents() throws {
    let folder = try DataFolder()
    var file = try file(folder, labels: labels)
    file.documents = .separator(2)
    let windows = SequentialWindows([(file, 0..<12)], length: 12, batch: 1, vocabulary: 21)
    let whole = try windows.whole(0)
    #expect(whole.documentStarts == [[0, 3]])
    #expect(whole.targets == labels.map { $0 == 0xFFFF ? -1 : Int32($0) })
  }

  @Test("The vocabulary holds the labels too, but not the one that means none")
  func vocabulary() throws {
    let folder = try DataFolder()
    let file = try file(folder, labels: labels)
    #expect(try file.vocabulary(part: 0, of: 1) == 21)
    #expect(try (0..<3).map { try file.vocabulary(part: $0, of: 3) }.max() == 21)
    let windows = SequentialWindows([(file, 0..<12)], length: 12, batch: 1, vocabulary: 20)
    let error = try #require(throws: CorpusError.self) { try windows.whole(0) }
    #expect(
      "\(error)".contains("labels.bin has token 20 at position 9, beyond the vocabulary of 20"))
  }

  @Test("Training reads the labels of the files that data.path lists")
  func training() throws {
    let folder = try DataFolder()
    _ = try file(folder, labels: labels)
    let section = try section([
      "path=\(folder.path)/tokens.bin", "labels=\(folder.path)/labels.bin", "held_out=0",
    ])
    #expect(try section.vocabularyOfFiles(part: 0, of: 1) == 21)
    let corpus = try section.makeCorpus(length: 4, batch: 1, seed: 1)
    #expect(corpus.vocabulary == 21 && !corpus.tokensAreBytes)
    for step in 0..<6 {
      let batch = try corpus.whole(step)
      #expect(
        batch.targets
          == batch.inputs.map { labels[Int($0)] == 0xFFFF ? -1 : Int32(labels[Int($0)]) })
    }
  }

  @Test("Labels are as many as the tokens, and stand without a loss mask")
  func refused() throws {
    let folder = try DataFolder()
    let error = try #require(throws: CorpusError.self) { try file(folder, labels: [1, 2, 3]) }
    #expect("\(error)".contains("labels.bin has 3 labels, but"))
    #expect("\(error)".contains("has 12 tokens; data.labels needs one for each token"))
    for (keys, words) in [
      (["labels=a.bin"], "1 given for 0 files in data.path"),
      (["path=a.bin", "labels=b.bin", "loss_mask=c"], "remove data.loss_mask"),
    ] {
      let error = try #require(throws: ConfigurationError.self) { try section(keys) }
      #expect("\(error)".contains(words))
    }
  }
}
