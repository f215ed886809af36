/// The ways to turn text into tokens, as `data.tokenizer` names them: the one place that maps names to tokenizers.
package enum TokenizerKind: String, CaseIterable, Sendable {
  /// One token a byte.
  case bytes

  /// Makes the tokenizer.
  package func make() -> any Tokenizer {
    switch self {
    case .bytes: ByteTokenizer()
    }
  }
}
