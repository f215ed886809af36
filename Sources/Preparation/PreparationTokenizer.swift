import Files
import Tokenizers

/// A tokenizer as `prepare` is given it, and what tells it from others.
package struct PreparationTokenizer: Sendable {
  package let tokenizer: any Tokenizer
  /// Of the file that it was read from.
  package let hash: String

  /// Reads it.
  ///
  /// - Parameter path: As `TokenizerFile.read` takes it, or `bytes`.
  /// - Throws: `TokenizerError`.
  package init(_ path: String) throws {
    guard path != ByteTokenizer.name else {
      (tokenizer, hash) = (ByteTokenizer(), ByteTokenizer.name)
      return
    }
    tokenizer = try TokenizerFile.read(path)
    let file = FileSystem.isFolder(path) ? TokenizerFile.find(in: path) ?? path : path
    let content = try MappedFile(path: file)
    hash = withExtendedLifetime(content) { Self.hash(content.bytes) }
  }

  /// The token that a name or a number means; nil for nil.
  ///
  /// - Throws: `PreparationError` where there is no such token.
  package func end(_ name: String?) throws(PreparationError) -> Int32? {
    guard let name else { return nil }
    if let token = tokenizer.token(of: name) { return token }
    if let number = Int32(name), (0..<tokenizer.vocabulary).contains(Int(number)) { return number }
    throw .noToken(name: name, vocabulary: tokenizer.vocabulary)
  }

  /// FNV-1a of 64 bits: it tells files apart, and keeps nobody from making two alike.
  static func hash(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return "fnv1a:" + String(repeating: "0", count: 16 - digits.count) + digits
  }
}
