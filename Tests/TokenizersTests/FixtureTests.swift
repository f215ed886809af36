import Foundation
import Testing
import Tokenizers

/// Tokenizers of every kind in use, by the tokens that Python's `tokenizers` and `sentencepiece` give for hard texts:
/// see `Fixtures/make_tokenizers.py`.
@Suite struct TokenizerFixtures {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path

  /// The files, without those of expected tokens.
  static let files = [
    "gpt2.json", "llama3.json", "qwen2.json", "llama2.json", "mistral.json", "unigram.json",
    "mixture.json", "bpe.model", "unigram-spm.model",
  ]

  /// A text in hexadecimal, its tokens without and with special ones, its decoded text.
  struct Row: Decodable {
    let bytes: [UInt8]
    let tokens: [Int32]
    let whole: [Int32]
    let text: String

    init(from decoder: any Decoder) throws {
      var row = try decoder.unkeyedContainer()
      let digits = Array(try row.decode(String.self))
      bytes = stride(from: 0, to: digits.count, by: 2).map {
        UInt8(String(digits[$0..<$0 + 2]), radix: 16)!
      }
      tokens = try row.decode([Int32].self)
      whole = try row.decode([Int32].self)
      text = try row.decode(String.self)
    }
  }

  static func open(_ file: String) throws -> (any Tokenizer, [Row]) {
    let name = file.prefix { $0 != "." }
    let rows = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name).ids.json"))
    return (
      try TokenizerFile.read("\(folder)/\(file)"), try JSONDecoder().decode([Row].self, from: rows)
    )
  }

  @Test("Tokens and decoded texts equal those of Python's libraries", arguments: files)
  func tokens(file: String) throws {
    let (tokenizer, rows) = try Self.open(file)
    #expect(rows.count > 40)
    for row in rows {
      let tokens = tokenizer.encode(row.bytes)
      #expect(
        tokens == row.tokens, "\(String(decoding: row.bytes, as: UTF8.self).debugDescription)")
      #expect(tokenizer.opening + tokens + tokenizer.closing == row.whole)
      // Strings are equal where Unicode calls them so; bytes are compared here.
      #expect(Array(tokenizer.decode(tokens).utf8) == Array(row.text.utf8))
      #expect(tokens.allSatisfy { (0..<Int32(tokenizer.vocabulary)).contains($0) })
    }
  }

  @Test("A text is streamed token by token as it is decoded at once", arguments: files)
  func streaming(file: String) throws {
    let (tokenizer, rows) = try Self.open(file)
    for row in rows {
      var decoder = StreamingDecoder(tokenizer)
      let parts = row.tokens.map { decoder.append($0) } + [decoder.finish()]
      #expect(parts.joined().utf8.elementsEqual(row.text.utf8))
    }
  }

  @Test("Threads may share a tokenizer, and what it has seen changes nothing", arguments: files)
  func threads(file: String) async throws {
    let (tokenizer, rows) = try Self.open(file)
    await withTaskGroup(of: Bool.self) { group in
      for shift in 0..<4 {
        group.addTask {
          rows.indices.allSatisfy {
            let row = rows[($0 * 7 + shift * 11) % rows.count]
            return tokenizer.encode(row.bytes) == row.tokens
          }
        }
      }
      for await same in group { #expect(same) }
    }
  }

  @Test(
    "A text of many words is the tokens of its words, however long it is",
    arguments: ["llama2.json", "bpe.model"])
  func longTexts(file: String) throws {
    let (tokenizer, _) = try Self.open(file)
    let words = (0..<3000).map { ["the", "model", "sequence", "gradient", "x\($0)"][$0 % 5] }
    let text = words.joined(separator: " ")
    #expect(tokenizer.encode(text) == words.flatMap { tokenizer.encode($0) })
    // One word that nothing cuts is merged by a queue.
    let long = tokenizer.encode(String(repeating: "the", count: 5000))
    #expect(tokenizer.decode(long) == String(repeating: "the", count: 5000))
  }
}
