import Corpora
import Files
import Tokenizers

/// A tokenizer as `prepare` is given it, and what tells it from others.
package struct PreparationTokenizer: Sendable {
  package let tokenizer: any Tokenizer
  /// The token that ends a document unless another is asked for; nil where nothing says it.
  private let separator: Int32?
  /// Of the file that it was read from.
  package let hash: String

  /// Reads it.
  ///
  /// - Parameter path: As `ModelTokenizer` takes it, or `bytes`.
  /// - Throws: `TokenizerError`.
  package init(_ path: String) throws {
    guard path != ByteTokenizer.name else {
      (tokenizer, hash, separator) = (ByteTokenizer(), ByteTokenizer.name, nil)
      return
    }
    let model = try ModelTokenizer(path: path)
    (tokenizer, separator) = (model.tokenizer, model.separator)
    let file = FileSystem.isFolder(path) ? TokenizerFile.find(in: path) ?? path : path
    hash = try TokenizerFile.hash(file)
  }

  /// The token that a name or a number means; for nil the one that the tokenizer's files say.
  ///
  /// - Throws: `PreparationError` where there is no such token.
  package func end(_ name: String?) throws(PreparationError) -> Int32? {
    guard let name else { return separator }
    if let token = tokenizer.token(of: name) { return token }
    if let number = Int32(name), (0..<tokenizer.vocabulary).contains(Int(number)) { return number }
    throw .noToken(name: name, vocabulary: tokenizer.vocabulary)
  }
}
