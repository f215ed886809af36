/// One token a byte: any file is text, and the vocabulary is 256.
package struct ByteTokenizer: Tokenizer {
  /// What stands for it where a tokenizer is named.
  package static let name = "bytes"

  /// Number of different tokens.
  package var vocabulary: Int { 256 }
  /// None.
  package var opening: [Int32] { [] }
  /// None.
  package var closing: [Int32] { [] }
  /// Nothing.
  package var leadingSpaces: LeadingSpaces { .kept }

  package init() {}

  /// The bytes of the text, whatever they are.
  package func encode(_ text: UnsafeBufferPointer<UInt8>) -> [Int32] { text.map { Int32($0) } }

  /// The byte; nothing for a token beyond 255.
  package func bytes(of token: Int32) -> [UInt8] {
    // A model's vocabulary may be padded beyond the bytes.
    UInt8(exactly: token).map { [$0] } ?? []
  }

  /// The byte, where the name is one.
  package func token(of name: String) -> Int32? {
    name.utf8.count == 1 ? name.utf8.first.map { Int32($0) } : nil
  }
}
