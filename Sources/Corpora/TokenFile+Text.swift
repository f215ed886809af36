import Files
import Tokenizers

extension TokenFile {
  /// Text that was made into tokens.
  package struct Text: Sendable {
    /// Number of tokens that its tokenizer has.
    package let vocabulary: Int
    /// Bytes of the text that are predicted: those of its first token only where another one stands before it.
    package let predictedBytes: Int
  }

  /// The longest text that is made into tokens as a run starts, in bytes.
  private static let longestText = 1 << 30

  /// Whether a file is text for a tokenizer: not where its tokens have a width.
  package static func isText(_ path: String, tokenBytes: Int) -> Bool {
    tokenBytes == 0 && !path.hasSuffix(".bin") && !FileSystem.isFolder(path)
  }

  /// Reads a text, begins it as its tokenizer does every text, and holds its tokens in memory.
  ///
  /// - Throws: `CorpusError` when it is too long.
  init(text file: StoredTokens, tokenizer: any Tokenizer) throws(CorpusError) {
    let path = file.path
    let text = try file.content(most: Self.longestText)
    let tokens = tokenizer.encode(text)
    guard let first = tokens.first else { throw .empty(path: path) }
    var decoder = TokenBytes(tokenizer)
    let unpredicted = tokenizer.opening.isEmpty ? decoder.append(first).count : 0
    self.init(
      StoredTokens(path: path, holding: tokenizer.opening + tokens),
      text: Text(
        vocabulary: tokenizer.vocabulary,
        predictedBytes: max(0, text.count - unpredicted)))
    self.tokenizer = tokenizer
  }
}
