/// One token a byte: any file is text, and the vocabulary is 256.
package struct ByteTokenizer: Tokenizer {
  /// Number of different tokens.
  package var vocabulary: Int { 256 }

  package init() {}

  /// The bytes of the text in UTF-8.
  package func encode(_ text: String) -> [Int32] { text.utf8.map { Int32($0) } }

  /// The byte; nothing for a token beyond 255.
  package func bytes(of token: Int32) -> [UInt8] {
    // A model's vocabulary may be padded beyond the bytes.
    UInt8(exactly: token).map { [$0] } ?? []
  }
}
