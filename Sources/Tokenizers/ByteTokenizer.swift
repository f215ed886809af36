/// One token a byte: any file is text, and the vocabulary is 256.
public struct ByteTokenizer: Tokenizer {
  /// Number of different tokens.
  public var vocabulary: Int { 256 }

  /// Makes the tokenizer.
  public init() {}

  /// The bytes of the text in UTF-8.
  public func encode(_ text: String) -> [Int32] { text.utf8.map { Int32($0) } }

  /// The byte; nothing for a token beyond 255.
  public func bytes(of token: Int32) -> [UInt8] {
    // A model's vocabulary may be padded beyond the bytes.
    UInt8(exactly: token).map { [$0] } ?? []
  }
}
