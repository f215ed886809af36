import Foundation
import TemporaryFolders
import Testing
import Tokenizers

/// Parts of `tokenizer.json` one by one, on vocabularies written here.
@Suite struct TokenizerPipelines {
  private func read(_ json: String) throws -> any Tokenizer {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.json", Data(json.utf8))
    return try TokenizerFile.read(folder.path)
  }

  private func pieces(_ extra: String, merges: String = "[]", options: String = "") -> String {
    """
    {"added_tokens": [], \(extra)
     "model": {"type": "BPE", \(options) "vocab": {"a": 0, "b": 1, "ab": 2, " ": 3, "é": 4, "e\u{301}": 5, "-": 6},
               "merges": \(merges)}}
    """
  }

  @Test("Merges may be written as texts or as pairs")
  func merges() throws {
    for merges in [#"["a b"]"#, #"[["a", "b"]]"#] {
      #expect(try read(pieces("", merges: merges)).encode("abba") == [2, 1, 0])
    }
  }

  @Test("Pieces that Unicode calls equivalent are told apart")
  func equivalentPieces() throws {
    let tokenizer = try read(
      pieces(
        #""normalizer": {"type": "Prepend", "prepend": "a"},"#, options: #""ignore_merges": true,"#)
    )
    #expect(tokenizer.encode("é") == [0, 4])
    #expect(tokenizer.token(of: "e\u{301}") == 5)
    #expect(tokenizer.token(of: "\u{e9}") == 4)
  }

  @Test(
    "Places where a text is cut go or stay as the behavior says",
    arguments: [
      ("Removed", false, "ab ab"), ("Isolated", false, "ab - - ab"),
      ("MergedWithPrevious", false, "ab- - ab"), ("MergedWithNext", false, "ab - -ab"),
      ("Contiguous", false, "ab -- ab"), ("Removed", true, "- -"), ("Isolated", true, "ab - - ab"),
    ])
  func behaviors(behavior: String, inverts: Bool, parts: String) throws {
    // Each part's first character has a prefix of its own in this vocabulary.
    let vocabulary = ["a", "b", "-", "##a", "##b", "##-"].enumerated()
      .map { "\"\($1)\": \($0)" }.joined(separator: ", ")
    let tokenizer = try read(
      """
      {"pre_tokenizer": {"type": "Split", "pattern": {"String": "-"}, "behavior": "\(behavior)",
                         "invert": \(inverts)},
       "model": {"type": "BPE", "continuing_subword_prefix": "##", "vocab": {\(vocabulary)}, "merges": []}}
      """)
    let expected = parts.split(separator: " ").flatMap { part in
      part.enumerated().map { index, character in
        tokenizer.token(of: (index == 0 ? "" : "##") + String(character))!
      }
    }
    #expect(tokenizer.encode("ab--ab") == expected)
  }

  @Test(
    "What is not known is refused by name, with what is known",
    arguments: [
      (#""normalizer": {"type": "BertNormalizer"},"#, "normalizer BertNormalizer"),
      (#""pre_tokenizer": {"type": "UnicodeScripts"},"#, "pre-tokenizer UnicodeScripts"),
      (#""decoder": {"type": "CTC"},"#, "decoder CTC"),
      (
        #""decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "ByteLevel"}]},"#,
        "decoder ByteLevel after ByteFallback"
      ),
      (
        #""decoder": {"type": "Sequence", "decoders": [{"type": "Metaspace"}, {"type": "Metaspace"}]},"#,
        "decoder Metaspace after Replace or Metaspace"
      ),
      (
        #""normalizer": {"type": "Strip"}, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"},"#,
        "prepend_scheme of Metaspace first behind the normalizer Strip"
      ),
      (#""post_processor": {"type": "Other"},"#, "post-processor Other"),
      (
        #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a[b]]"}, "behavior": "Isolated"},"#,
        "a class within a class"
      ),
      (
        #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"},"#,
        "regular expression (a"
      ),
    ])
  func refusals(part: String, named: String) throws {
    let error = #expect(throws: TokenizerError.self) { try read(pieces(part)) }
    #expect(error?.description.contains(named) == true, "\(error as Any)")
    #expect(error?.description.contains("tokenizer.json") == true)
  }

  @Test("An added token of which the normalizer leaves nothing is refused")
  func emptyAddedToken() {
    #expect {
      try read(
        """
        {"normalizer": {"type": "Strip"}, "added_tokens": [{"id": 1, "content": "  "}],
         "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
        """)
    } throws: {
      "\($0)".contains("added token   ")
    }
  }

  @Test(
    "A token whose text the token before has taken as white space is not found",
    arguments: [(true, [1, 0]), (false, [1, 2, 0])] as [(Bool, [Int32])])
  func takenSpace(stripsLeft: Bool, expected: [Int32]) throws {
    let tokenizer = try read(
      """
      {"added_tokens": [{"id": 1, "content": "--", "rstrip": true},
                        {"id": 2, "content": "\\n\\n", "lstrip": \(stripsLeft), "rstrip": true}],
       "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
      """)
    #expect(tokenizer.encode("-- \n\n a") == expected)
  }

  /// Some bytes have tokens, and `é` is two of them.
  private func bytes(_ options: String) throws -> any Tokenizer {
    let named = (0..<256).map { String(format: #""<0x%02X>": %d"#, $0, $0) }.joined(separator: ", ")
    return try read(
      """
      {"decoder": {"type": "ByteFallback"}, "added_tokens": [{"id": 257, "content": "!", "special": true}],
       "model": {"type": "BPE", "byte_fallback": true, \(options) "vocab": {\(named), "a": 256}, "merges": []}}
      """)
  }

  @Test(
    "Bytes in a row that are no characters are each a replacement character, special tokens or not")
  func runsOfBytes() throws {
    let tokenizer = try bytes("")
    #expect(tokenizer.decode([0xC3, 0xA9, 256]) == "\u{e9}a")
    #expect(
      tokenizer.decode([0x61, 0xC3, 256, 0x61, 0xC3, 257, 0xA9]) == "\u{fffd}\u{fffd}aa\u{e9}")
  }

  @Test("What is put behind a word's last character is spelled in bytes, too")
  func suffixInBytes() throws {
    #expect(try bytes(#""end_of_word_suffix": "-","#).encode("éa") == [0xC3, 0xA9, 0x61, 0x2D])
  }

  @Test("A special token that is written otherwise in normalized text is decoded")
  func normalizedSpecialToken() throws {
    let tokenizer = try read(
      """
      {"normalizer": {"type": "Lowercase"}, "decoder": {"type": "Fuse"},
       "added_tokens": [{"id": 1, "content": "B", "special": true, "normalized": true},
                        {"id": 2, "content": "c", "special": true, "normalized": true}],
       "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
      """)
    #expect(tokenizer.encode("aBc") == [0, 1, 2])
    #expect(tokenizer.decode([0, 1, 2]) == "ab")
  }

  @Test("Other models are refused by name", arguments: ["WordPiece", "WordLevel"])
  func otherModels(model: String) throws {
    let error = #expect(throws: TokenizerError.self) {
      try read(#"{"model": {"type": "\#(model)", "vocab": {}}}"#)
    }
    #expect(error?.description.contains("\(model)") == true)
    #expect(error?.description.contains("BPE, Unigram") == true)
  }

  @Test(
    "Damaged files are refused", arguments: ["", "{", "[1]", #"{"model": 3}"#, #"{"a": "\ud800"}"#])
  func damaged(text: String) throws {
    #expect(throws: TokenizerError.self) { try read(text) }
  }

  @Test("A folder without a tokenizer is refused")
  func noTokenizer() throws {
    let folder = try TemporaryFolder()
    #expect(throws: TokenizerError.notATokenizer(path: folder.path)) {
      try TokenizerFile.read(folder.path)
    }
    let model = try folder.write("tokenizer.model", Data("no protobuf".utf8))
    #expect(throws: TokenizerError.self) { try TokenizerFile.read(model) }
  }

  @Test("Invalid UTF-8 counts as replacement characters, one for each maximal part")
  func invalidBytes() throws {
    let tokenizer = try read(
      #"{"model": {"type": "BPE", "vocab": {"�": 0, "a": 1}, "merges": []}}"#)
    // As Python's bytes.decode(errors="replace").
    for (bytes, count) in [
      ([0xF0, 0x80, 0x80], 3), ([0xED, 0xA0, 0x80], 3), ([0xF4, 0x90, 0x80, 0x80], 4),
      ([0xE2, 0x82], 1), ([0xC0, 0x80], 2), ([0xF0, 0x9F, 0x98], 1), ([0xFF, 0xFE], 2),
      ([0xE0, 0x80], 2),
    ] as [([UInt8], Int)] {
      #expect(
        tokenizer.encode([0x61] + bytes + [0x61])
          == [1] + Array(repeating: 0, count: count) + [1])
    }
  }
}
