import Foundation
import TemporaryFolders
import Testing
import Tokenizers

@Suite struct ModelTokenizers {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures")

  private func folder(_ tokenizer: String, as name: String) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write(name, Data(contentsOf: Self.fixtures.appendingPathComponent(tokenizer)))
    return folder
  }

  @Test("Tokens that end a text are those of all files that name some")
  func endTokens() throws {
    let folder = try folder("llama3.json", as: "tokenizer.json")
    #expect(try ModelTokenizer(path: folder.path).endTokens == [])
    try folder.write("config.json", Data(#"{"eos_token_id": 7}"#.utf8))
    try folder.write("generation_config.json", Data(#"{"eos_token_id": [8, 9]}"#.utf8))
    try folder.write(
      "tokenizer_config.json",
      Data(#"{"eos_token": {"content": "<|eot_id|>"}, "bos_token": "<|begin_of_text|>"}"#.utf8))
    let read = try ModelTokenizer(path: folder.path)
    let end = try #require(read.tokenizer.token(of: "<|eot_id|>"))
    #expect(read.endTokens == [7, 8, 9, end])
    #expect(read.beginName == "<|begin_of_text|>")
  }

  @Test(
    "A chat template lies in a file of its own, or in the tokenizer's settings, alone or by name")
  func chatTemplates() throws {
    let folder = try folder("qwen2.json", as: "tokenizer.json")
    #expect(try ModelTokenizer(path: folder.path).chatTemplate == nil)
    let named = #"[{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]"#
    for (settings, template) in [(#""one""#, "one"), (named, "d")] {
      try folder.write("tokenizer_config.json", Data("{\"chat_template\": \(settings)}".utf8))
      #expect(try ModelTokenizer(path: folder.path).chatTemplate == template)
    }
    try folder.write("chat_template.jinja", Data("own".utf8))
    #expect(try ModelTokenizer(path: folder.path).chatTemplate == "own")
  }

  @Test(
    "A SentencePiece model begins texts where its settings say so, and finds control pieces in dialogues"
  )
  func sentencePiece() throws {
    let folder = try folder("bpe.model", as: "tokenizer.model")
    #expect(try ModelTokenizer(path: folder.path).tokenizer.opening == [])
    try folder.write(
      "tokenizer_config.json", Data(#"{"add_bos_token": true, "bos_token": "<s>"}"#.utf8))
    let tokenizer = try ModelTokenizer(path: folder.path).tokenizer
    #expect(tokenizer.opening == [1])
    #expect(tokenizer.encodeMarked("<s>the model</s>") == [1] + tokenizer.encode("the model") + [2])
    #expect(tokenizer.encode("<s>").count > 1)
  }

  @Test("A vocabulary beyond the model's is refused")
  func misfit() throws {
    let folder = try folder("gpt2.json", as: "tokenizer.json")
    let tokenizer = try ModelTokenizer(path: folder.path)
    let tokens = tokenizer.tokenizer.vocabulary
    try tokenizer.check(vocabulary: tokens)
    #expect(
      throws: TokenizerError.misfit(path: folder.path, tokens: tokens, vocabulary: tokens - 1)
    ) {
      try tokenizer.check(vocabulary: tokens - 1)
    }
    let empty = try TemporaryFolder()
    #expect(try ModelTokenizer(model: empty.path)?.path == nil)
  }
}
