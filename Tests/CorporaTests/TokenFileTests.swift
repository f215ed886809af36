import Testing

@testable import Corpora

@Suite struct TokenFiles {
  private func tokens(_ file: TokenFile) -> [Int32] {
    var tokens = [Int32](repeating: 0, count: file.count)
    file.read(0..<file.count, into: &tokens)
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
    #expect(tokens(file) == expected)
    #expect(file.largestToken(in: 0..<file.count) == UInt32(expected.max()!))
  }

  @Test func faultyFilesGiveOneSentence() throws {
    let folder = try DataFolder()
    let cases: [(String, String)] = [
      ("\(folder.path)/absent", "cannot open \(folder.path)/absent: No such file or directory"),
      (folder.path, "cannot read \(folder.path): Is a directory"),
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

  @Test func theFirstTokenBeyondTheVocabularyIsNamed() throws {
    let folder = try DataFolder()
    let file = try TokenFile(path: folder.write("t.bin", [1, 0, 44, 1, 9, 0, 255, 255]))
    #expect(throws: Never.self) { try file.check(vocabulary: 301, in: 0..<3) }
    #expect(throws: Never.self) { try file.check(vocabulary: 2, in: 0..<1) }
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 1, token: 300, vocabulary: 300)
    ) { try file.check(vocabulary: 300, in: 0..<4) }
    let wide = try TokenFile(path: file.path, tokenBytes: 4)
    #expect(
      throws: CorpusError.beyondVocabulary(
        path: file.path, position: 1, token: 0xFFFF_0009, vocabulary: 20_000_000)
    ) { try wide.check(vocabulary: 20_000_000, in: 0..<2) }
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
