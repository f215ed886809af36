import Files

/// A mapped companion file with a byte for each token: 1 where the token is to be predicted, else 0.
package struct LossMask: Sendable {
  private let file: MappedFile

  /// Maps a companion file; its bytes are checked when they are read.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, or is not as long as there are tokens.
  package init(path: String, of tokens: TokenFile) throws(CorpusError) {
    file = try MappedFile(data: path)
    guard file.bytes.count == tokens.count else {
      throw .maskLength(
        path: path, bytes: file.bytes.count, file: tokens.path, tokens: tokens.count)
    }
  }

  /// Whether a token is to be predicted.
  ///
  /// - Throws: `CorpusError.maskValue` where its byte is neither 0 nor 1.
  func predicts(_ token: Int) throws(CorpusError) -> Bool {
    let value = file.bytes[token]
    guard value <= 1 else {
      throw .maskValue(path: file.path, position: token, value: value)
    }
    return value == 1
  }
}
