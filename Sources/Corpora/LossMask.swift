import Files

/// A mapped companion file with a byte for each token: 1 where the token is to be predicted, else 0.
public struct LossMask: Sendable {
  private let file: MappedFile

  /// Maps a companion file and checks all of it.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, is not as long as there are tokens, or holds a byte
  ///   that is neither 0 nor 1.
  public init(path: String, of tokens: TokenFile) throws(CorpusError) {
    do throws(FileError) {
      file = try MappedFile(path: path)
    } catch {
      throw .file(error)
    }
    let bytes = file.bytes
    guard bytes.count == tokens.count else {
      throw .maskLength(path: path, bytes: bytes.count, file: tokens.path, tokens: tokens.count)
    }
    var all: UInt8 = 0
    for byte in bytes { all |= byte }
    if all > 1, let position = bytes.firstIndex(where: { $0 > 1 }) {
      throw .maskValue(path: path, position: position, value: bytes[position])
    }
  }

  /// Whether a token is to be predicted.
  subscript(token: Int) -> Bool { file.bytes[token] == 1 }
}
