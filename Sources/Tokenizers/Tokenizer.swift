/// Turns text into tokens and back.
package protocol Tokenizer: Sendable {
  /// Number of different tokens.
  var vocabulary: Int { get }
  /// The tokens of a text.
  func encode(_ text: String) -> [Int32]
  /// The bytes of UTF-8 that a token stands for; they may end within a character.
  func bytes(of token: Int32) -> [UInt8]
}

extension Tokenizer {
  /// The text of some tokens; bytes that are no UTF-8 become `�`.
  package func decode(_ tokens: some Sequence<Int32>) -> String {
    String(decoding: tokens.flatMap(bytes(of:)), as: UTF8.self)
  }
}
