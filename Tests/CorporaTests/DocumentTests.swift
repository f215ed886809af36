import Configuration
import Testing

@testable import Corpora

@Suite struct PackedDocuments {
  /// Documents that end with token 9, the last one open.
  private static let tokens: [UInt8] = [1, 2, 9, 3, 4, 5, 9, 9, 6, 7, 8, 1, 9, 2, 3]
  /// Where they begin.
  private static let starts = [0, 3, 7, 8, 13]

  private func offsets(_ offsets: [UInt64]) -> [UInt8] {
    offsets.flatMap { offset in (0..<8).map { UInt8(truncatingIfNeeded: offset >> (8 * $0)) } }
  }

  /// The file with its documents, by a separator or by offsets.
  private func file(_ folder: DataFolder, separated: Bool) throws -> TokenFile {
    var file = try TokenFile(path: folder.write("tokens.txt", Self.tokens))
    if separated {
      file.documents = .separator(9)
    } else {
      let path = try folder.write("offsets", offsets(Self.starts.map(UInt64.init)))
      file.documents = .offsets(try DocumentOffsets(path: path, of: file))
    }
    return file
  }

  @Test(arguments: [true, false])
  func startsAreFoundInAnyRange(separated: Bool) throws {
    let folder = try DataFolder()
    let file = try file(folder, separated: separated)
    for low in 0...15 {
      for high in low...15 {
        #expect(
          try file.documentStarts(in: low..<high)
            == Self.starts.filter { (low..<high).contains($0) })
      }
    }
  }

  @Test(arguments: [true, false])
  func noTargetBeginsADocument(separated: Bool) throws {
    let folder = try DataFolder()
    let file = try file(folder, separated: separated)
    let windows = SequentialWindows([(file, 0..<15)], length: 4, batch: 2, vocabulary: 10)
    let batches = try (0..<2).map { try windows.whole($0) }
    #expect(
      batches.flatMap(\.targets)
        == [2, 9, -1, 4, 5, 9, -1, -1, 7, 8, 1, 9, -1, 3, -1, -1])
    #expect(batches.flatMap(\.documentStarts) == [[0, 3], [3], [0], [1]])
  }

  @Test(arguments: [true, false])
  func everyRankKnowsAllStartsOfItsRows(separated: Bool) throws {
    let folder = try DataFolder()
    let corpus = try TextCorpus(
      files: [(try file(folder, separated: separated), 1)], length: 4, batch: 3, seed: 1,
      heldOut: 0)
    for step in 0..<10 {
      let whole = try corpus.whole(step)
      for row in 0..<3 {
        let start = corpus.window(sample: step * 3 + row).start
        // A random window begins a document: it follows nothing.
        #expect(
          whole.documentStarts[row]
            == [0] + (1..<4).filter { Self.starts.contains(start + $0) })
        #expect(
          Array(whole.targets[row * 4..<row * 4 + 4])
            == (start + 1...start + 4).map {
              Self.starts.contains($0) ? -1 : Int32(Self.tokens[$0])
            })
      }
      for positions in [0..<1, 1..<3, 3..<4, 2..<2] {
        var part = TokenBatch(rows: 1..<3, positions: positions)
        try corpus.fill(&part, step: step)
        #expect(part.documentStarts == Array(whole.documentStarts[1...]))
        #expect(
          part.targets == [1, 2].flatMap { row in positions.map { whole.targets[row * 4 + $0] } })
      }
    }
  }

  @Test func aLossMaskTakesTargetsAway() throws {
    let folder = try DataFolder()
    var file = try file(folder, separated: true)
    let mask: [UInt8] = [1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    file.lossMask = try LossMask(path: folder.write("mask", mask), of: file)
    let windows = SequentialWindows([(file, 0..<15)], length: 5, batch: 3, vocabulary: 10)
    #expect(
      try windows.whole(0).targets == [-1, 9, -1, 4, 5, -1, -1, -1, 7, 8, 1, 9, -1, -1, -1])
  }

  @Test func theSectionOpensCompanionsFileByFile() throws {
    let folder = try DataFolder()
    let paths = try ["a.txt", "b.txt"].map { try folder.write($0, Self.tokens) }
    let list = try folder.write("list", offsets([0, 5]))
    let mask = try folder.write("mask", [UInt8](repeating: 1, count: 14) + [0])
    var section = DataSection()
    section.path = paths.map { WeightedPath(path: $0) }
    section.documents = ["9"]
    #expect(
      try section.openFiles().map { try $0.file.documentStarts(in: 0..<5) } == [[0, 3], [0, 3]])
    section.documents = [list, "9"]
    section.lossMask = [mask, mask]
    let files = try section.openFiles().map(\.file)
    #expect(try files.map { try $0.documentStarts(in: 0..<8) } == [[0, 5], [0, 3, 7]])
    for file in files {
      var targets: [Int32] = [1]
      try file.lossMask?.apply(to: &targets, count: 1, from: 14)
      #expect(targets == [-1])
    }
    #expect(section.problems.isEmpty)
    section.documents = [list]
    section.lossMask = [mask]
    #expect(section.problems.map(\.keys[0]) == ["data.documents", "data.loss_mask"])
    section.path = []
    section.documents = ["9"]
    section.lossMask = []
    #expect(section.problems.map(\.keys[0]) == ["data.documents"])
  }

  @Test func companionsThatDoNotFitGiveOneSentence() throws {
    let folder = try DataFolder()
    let file = try TokenFile(path: folder.write("tokens.txt", Self.tokens))
    func sentence(_ open: () throws -> Void) throws -> String {
      "\(try #require(throws: CorpusError.self) { try open() })"
    }
    func list(_ bytes: [UInt8]) throws -> String {
      let path = try folder.write("list", bytes)
      return try sentence { _ = try DocumentOffsets(path: path, of: file) }
    }
    func mask(_ bytes: [UInt8]) throws -> String {
      let path = try folder.write("mask", bytes)
      return try sentence { _ = try LossMask(path: path, of: file) }
    }
    let place = folder.path
    #expect(
      try list([1, 2, 3])
        == "\(place)/list has 3 bytes, which is no multiple of 8; data.documents needs little-endian "
        + "uint64 token offsets, one for each document's start")
    #expect(
      try list(offsets([0, 4, 4]))
        == "\(place)/list lists offset 4 at place 2 after 4; data.documents needs ascending token "
        + "offsets, each once")
    #expect(
      try list(offsets([0, 15]))
        == "\(place)/list lists offset 15 at place 1, but \(file.path) has only 15 tokens; "
        + "data.documents needs offsets counted in tokens of that file")
    #expect(
      try mask([1, 0])
        == "\(place)/mask has 2 bytes, but \(file.path) has 15 tokens; data.loss_mask needs one byte "
        + "for each token")
    var masked = file
    masked.lossMask = try LossMask(
      path: folder.write("faulty", [UInt8](repeating: 1, count: 14) + [49]), of: file)
    let windows = SequentialWindows([(masked, 0..<15)], length: 5, batch: 1, vocabulary: 10)
    for step in 0..<2 { #expect(throws: Never.self) { try windows.whole(step) } }
    #expect(
      try sentence { _ = try windows.whole(2) }
        == "\(place)/faulty has a byte of 49 at position 14; data.loss_mask needs bytes of 0 (no loss) "
        + "and 1 (loss)")
    #expect(
      try sentence { _ = try DocumentOffsets(path: "\(place)/none", of: file) }
        .contains("\(place)/none"))
    var separated = file
    separated.documents = .separator(256)
    #expect(
      try sentence {
        _ = try TextCorpus(files: [(separated, 1)], length: 4, batch: 1, seed: 1, heldOut: 0)
      }.contains("by token 256, but its vocabulary has only 256 tokens"))
  }
}
