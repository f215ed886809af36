import Configuration

/// Bytes of a checkpoint's file that were written one after another, and their hash.
///
/// Who writes a file tells its ranges, so that nobody reads it again to hash it; ranks that write parts of one file tell their own.
package struct WrittenRange: Hashable, Sendable {
  /// The file, from the checkpoint's folder.
  package let file: String
  /// The first byte's place in it.
  package let offset: Int
  /// Bytes.
  package let length: Int
  /// Of those bytes.
  package let hash: ContentHash

  package init(file: String, offset: Int, length: Int, hash: ContentHash) {
    (self.file, self.offset, self.length, self.hash) = (file, offset, length, hash)
  }

  /// One line, as ranks send it: `<offset> <length> <hash> <file>`.
  package var line: String { "\(offset) \(length) \(hash.text) \(file)" }

  /// Reads such a line; nil for anything else.
  package init?(line: some StringProtocol) {
    let parts = line.split(separator: " ", maxSplits: 3)
    guard parts.count == 4, let offset = Int(parts[0]), let length = Int(parts[1]),
      let hash = ContentHash(text: String(parts[2]))
    else { return nil }
    self.init(file: String(parts[3]), offset: offset, length: length, hash: hash)
  }
}
