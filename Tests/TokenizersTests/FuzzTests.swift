import Foundation
import Mutations
import TemporaryFolders
import Testing

@testable import Tokenizers

@Suite("Damaged files: tokenizers")
struct TokenizerFuzzTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appending(path: "Fixtures").path
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private static func bytes(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
  }

  /// Texts with what tokenizers treat each in a way of its own.
  private static let texts = [
    "", " ", "The quick  brown fox's 1234 jumps.\n\n\tover", "naïve café e\u{301} ﬁ Å",
    "日本語 \u{1F600}\u{200D}\u{FFFD}", "<s></s><|endoftext|> [INST] <unk>",
    String(repeating: "ab ", count: 60), String(repeating: "x", count: 300),
  ]

  /// Encodes and decodes: each token is one of the vocabulary.
  private func use(_ tokenizer: any Tokenizer) {
    let limit = tokenizer.vocabulary
    for text in Self.texts {
      let tokens = tokenizer.opening + tokenizer.encode(text) + tokenizer.closing
      #expect(tokens.allSatisfy { $0 >= 0 && $0 < limit })
      _ = tokenizer.decode(tokens)
      _ = tokenizer.encodeMarked(text)
    }
    for token in [-1, 0, Int32(clamping: limit) - 1, Int32(clamping: limit), .max] {
      _ = tokenizer.bytes(of: token)
    }
  }

  @Test(
    "A tokenizer's file is read or refused, and what was read is used",
    arguments: TokenizerFixtures.files)
  func tokenizers(file: String) throws {
    let form: FileForm = file.hasSuffix(".json") ? .text : .bytes
    let name = file.hasSuffix(".json") ? "tokenizer.json" : "tokenizer.model"
    let failures = Fuzzing(file, form, [try Self.bytes(file)], cases: 300).run {
      try files.write(name, Data($0))
      use(try TokenizerFile.read(files.file(name)))
    }
    #expect(failures == [])
  }

  @Test("What lies beside a tokenizer is read or refused")
  func besides() throws {
    try files.write("tokenizer.json", Data(Self.bytes("llama2.json")))
    let parts = [
      (
        "tokenizer_config.json",
        #"""
        {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true, "tokenizer_class": "LlamaTokenizer",
         "chat_template": [{"name": "default", "template": "<|im_start|>system\nYou are.<|im_end|> bos_token"}]}
        """#
      ), ("special_tokens_map.json", #"{"bos_token": "<s>", "eos_token": {"content": "</s>"}}"#),
      ("generation_config.json", #"{"eos_token_id": [2, 7], "bos_token_id": 1}"#),
      ("config.json", #"{"eos_token_id": 2}"#),
      (
        "chat_template.jinja",
        #"<|start_header_id|> <|eot_id|> Cutting Knowledge Date: December 2023\n date_string = "26 Jul 2024""#
      ),
    ]
    for (name, text) in parts {
      for (other, content) in parts { try files.write(other, content) }
      let failures = Fuzzing(name, .text, [Array(text.utf8)], cases: 300).run {
        try files.write(name, Data($0))
        let model = try ModelTokenizer(path: files.path)
        if let template = model.chatTemplate, let chat = ChatTemplate(template) {
          _ = chat.text(system: "a", user: "b", begin: model.beginName)
        }
      }
      #expect(failures == [])
    }
  }
}
