import Files

/// Where documents begin, in tokens: a companion file of ascending little-endian `uint64` offsets, or Megatron's index.
package struct DocumentOffsets: Sendable {
  /// Number of offsets.
  package let count: Int
  private let source: Source

  private enum Source: Sendable {
    case list(MappedFile)
    case megatron(MegatronIndex)
  }

  /// The documents of Megatron's index.
  init(_ index: MegatronIndex) { (count, source) = (index.documents, .megatron(index)) }

  /// Maps a companion file and checks all of it.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, ends within an offset, or holds an offset that is not
  ///   above the one before or is beyond the tokens.
  package init(path: String, of tokens: TokenFile) throws(CorpusError) {
    let file = try MappedFile(data: path)
    let bytes = file.bytes.count
    guard bytes % 8 == 0 else { throw .partialOffset(path: path, bytes: bytes) }
    (count, source) = (bytes / 8, .list(file))
    var last: UInt64?
    for index in 0..<count {
      let offset = Self.value(index, in: file)
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

  /// The offsets within a range, ascending, each once; found in `O(log count)`.
  func offsets(in range: Range<Int>) -> [Int] {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if value(middle) < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    var offsets: [Int] = []
    for index in low..<count {
      let offset = value(index)
      guard offset < range.upperBound else { break }
      // Megatron's documents may be empty.
      if offsets.last != offset { offsets.append(offset) }
    }
    return offsets
  }

  private func value(_ index: Int) -> Int {
    switch source {
    case .list(let file): Int(Self.value(index, in: file))
    case .megatron(let megatron): megatron.start(ofDocument: index)
    }
  }

  private static func value(_ index: Int, in file: MappedFile) -> UInt64 {
    UInt64(littleEndian: file.bytes.load(fromByteOffset: 8 * index, as: UInt64.self))
  }
}
