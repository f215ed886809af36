import Files

/// A mapped companion file that lists where documents begin: ascending little-endian `uint64` token
/// offsets.
package struct DocumentOffsets: Sendable {
  /// Number of offsets.
  package let count: Int
  private let file: MappedFile

  /// Maps a companion file and checks all of it.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, ends within an offset, or holds an offset that is not
  ///   above the one before or is beyond the tokens.
  package init(path: String, of tokens: TokenFile) throws(CorpusError) {
    file = try MappedFile(data: path)
    let bytes = file.bytes.count
    guard bytes % 8 == 0 else { throw .partialOffset(path: path, bytes: bytes) }
    count = bytes / 8
    var last: UInt64?
    for index in 0..<count {
      let offset = value(index)
      if let last, offset <= last {
        throw .unsortedOffsets(path: path, index: index, offset: offset, previous: last)
      }
      guard offset < UInt64(tokens.count) else {
        throw .offsetBeyond(
          path: path, index: index, offset: offset, file: tokens.path, tokens: tokens.count)
      }
      last = offset
    }
  }

  /// The offsets within a range, ascending; found in `O(log count)`.
  func offsets(in range: Range<Int>) -> [Int] {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if Int(value(middle)) < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    return (low..<count).lazy.map { Int(value($0)) }.prefix { $0 < range.upperBound }.map { $0 }
  }

  private func value(_ index: Int) -> UInt64 {
    UInt64(littleEndian: file.bytes.load(fromByteOffset: 8 * index, as: UInt64.self))
  }
}
