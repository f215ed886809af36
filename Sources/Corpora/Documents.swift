import Files

/// Where documents begin in a file of tokens.
public enum Documents: Sendable {
  /// After each token of this number.
  case separator(Int32)
  /// At the tokens that a companion file lists.
  case offsets(DocumentOffsets)
}

/// A mapped companion file that lists where documents begin: ascending little-endian `uint64` token
/// offsets.
public struct DocumentOffsets: Sendable {
  /// Number of offsets.
  public let count: Int
  private let file: MappedFile

  /// Maps a companion file and checks all of it.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, ends within an offset, or holds an offset that is not
  ///   above the one before or is beyond the tokens.
  public init(path: String, of tokens: TokenFile) throws(CorpusError) {
    do throws(FileError) {
      file = try MappedFile(path: path)
    } catch {
      throw .file(error)
    }
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

extension TokenFile {
  /// Where documents begin among some tokens, ascending; empty where the file is one text.
  ///
  /// With a separator the first token of the file begins a document, and the tokens from the one
  /// before `range` on are read.
  func documentStarts(in range: Range<Int>) -> [Int] {
    switch documents {
    case .none: return []
    case .offsets(let offsets): return offsets.offsets(in: range)
    case .separator(let separator):
      guard !range.isEmpty else { return [] }
      let first = max(1, range.lowerBound)
      var starts = range.lowerBound == 0 ? [0] : []
      guard first < range.upperBound else { return starts }
      let count = range.upperBound - first
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: count) { tokens in
        read(first - 1..<range.upperBound - 1, into: tokens.baseAddress!)
        for i in 0..<count where tokens[i] == separator { starts.append(first + i) }
      }
      return starts
    }
  }
}
