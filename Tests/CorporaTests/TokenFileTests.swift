import Testing

@testable import Corpora

@Suite struct TokenFiles {
  private func tokens(_ file: TokenFile) throws -> [Int32] {
    var tokens = [Int32](repeating: 0, count: file.count)
    try file.read(0..<file.count, into: &tokens)
    return tokens
  }

  @Test(
    arguments: [
      ("text.txt", 0, [0, 65, 255, 10]), ("tokens.bin", 0, [0x4100, 0x0AFF]),
      ("tokens.bin", 1, [0, 65, 255, 10]), ("tokens.bin", 4, [0x0AFF_4100]),
      ("text.txt", 2, [0x4100, 0x0AFF]),
    ] as [(String, Int, [Int32])])
  func readsTokensOfOneTwoOrFourLittleEndianBytes(
    name: String, tokenBytes: Int, expected: [Int32]
  ) throws {
    let folder = try DataFolder()
    let file = try TokenFile(
      path: folder.write(name, [0, 65, 255, 10]), tokenBytes: tokenBytes)
    #expect(try tokens(file) == expected)
    let stored = try StoredTokens(path: file.path, tokenBytes: tokenBytes)
    #expect(try stored.largestToken(in: 0..<stored.count) == UInt32(expected.max()!))
  }

  @Test func faultyFilesGiveOneSentence() throws {
    let folder = try DataFolder()
    let cases: [(String, String)] = [
      ("\(folder.path)/absent", "cannot open \(folder.path)/absent: No such file or directory"),
      (folder.path, "cannot read \(folder.path): Is a directory; name a file in it"),
      (
        try folder.write("empty", []),
        "\(folder.path)/empty is empty; data.path needs a file with text or tokens"
      ),
      (
        try folder.write("odd.bin", [1, 2, 3]),
        "\(folder.path)/odd.bin has 3 bytes, which is no multiple of a token's 2; "
          + "set data.token_bytes to the bytes that a token takes in it"
      ),
    ]
    for (path, message) in cases {
      let error = try #require(throws: CorpusError.self) { try TokenFile(path: path) }
      #expect("\(error)" == message)
    }
  }

  @Test func aTokenBeyondTheVocabularyIsNamedWhenItIsRead() throws {
    let folder = try DataFolder()
    let file = try TokenFile(path: folder.write("t.bin", [1, 0, 44, 1, 9, 0, 255, 255]))
    func batch(_ positions: Range<Int>, of file: TokenFile, vocabulary: Int) throws -> TokenBatch {
      let windows = SequentialWindows(
        [(file, 0..<file.count)], length: 4, batch: 1, vocabulary: vocabulary)
      var batch = TokenBatch(rows: 0..<1, positions: positions)
      try windows.fill(&batch, step: 0)
      return batch
    }
    #expect(try batch(0..<2, of: file, vocabulary: 301).targets == [300, 9])
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 1, token: 300, vocabulary: 300)
    ) { try batch(1..<2, of: file, vocabulary: 300) }
    // As a target, too.
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 1, token: 300, vocabulary: 300)
    ) { try batch(0..<1, of: file, vocabulary: 300) }
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 3, token: 65535, vocabulary: 301)
    ) { try batch(2..<4, of: file, vocabulary: 301) }
    let wide = try TokenFile(path: file.path, tokenBytes: 4)
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 1, token: 0xFFFF_0009, vocabulary: 20_000_000)
    ) { try batch(0..<2, of: wide, vocabulary: 20_000_000) }
  }

  @Test(arguments: [1, 2, 3, 7, 8, 20])
  func partsTellTheVocabularyThatTheWholeFileNeeds(parts: Int) throws {
    let folder = try DataFolder()
    for largest in 0..<8 {
      let tokens = (0..<8).map { $0 == largest ? UInt8(200) : UInt8($0) }
      let file = try TokenFile(path: folder.write("t.bin", tokens.flatMap { [$0, 0] }))
      #expect(try (0..<parts).map { try file.vocabulary(part: $0, of: parts) }.max() == 201)
    }
    let text = try TokenFile(path: folder.write("t.txt", [65]))
    #expect(try text.vocabulary(part: parts - 1, of: parts) == 256)
  }

  @Test(arguments: [1, 2, 3, 4, 5, 7, 16, 17, 100, 1024, 1025])
  func aPermutationHasEachElementOnce(count: Int) {
    let permutation = Permutation(count: count, random: .init(seed: 7, purpose: 3))
    let elements = (0..<count).map { permutation[$0] }
    #expect(Set(elements) == Set(0..<count))
    let other = Permutation(count: count, random: .init(seed: 8, purpose: 3))
    if count >= 16 {
      #expect(elements != Array(0..<count))
      #expect(elements != (0..<count).map { other[$0] })
    }
  }
}
