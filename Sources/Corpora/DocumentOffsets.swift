import Files

/// Where documents begin, in tokens: a companion file of ascending little-endian `uint64` offsets, or Megatron's index.
package struct DocumentOffsets: Sendable {
  /// Number of offsets.
  package let count: Int
  private let source: Source

  private enum Source: Sendable {
    case list(OpenFile)
    case megatron(MegatronIndex)
  }

  /// The documents of Megatron's index.
  init(_ index: MegatronIndex) { (count, source) = (index.documents, .megatron(index)) }

  /// Opens a companion file and checks all of it.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, ends within an offset, or holds an offset that is not
  ///   above the one before or is beyond the tokens.
  package init(path: String, of tokens: TokenFile) throws(CorpusError) {
    let file = try dataFiles { () throws(FileError) in try OpenFile(path: path) }
    guard file.count % 8 == 0 else { throw .partialOffset(path: path, bytes: file.count) }
    (count, source) = (file.count / 8, .list(file))
    var last: UInt64?
    let piece = 1 << 17
    for first in stride(from: 0, to: count, by: piece) {
      let bytes = try dataFiles { () throws(FileError) in
        try file.read(8 * first..<8 * min(first + piece, count))
      }
      try bytes.withUnsafeBufferPointer { buffer throws(CorpusError) in
        let bytes = UnsafeRawBufferPointer(buffer)
        for place in 0..<bytes.count / 8 {
          let (index, offset) = (
            first + place,
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * place, as: UInt64.self))
          )
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
    }
  }

  /// The offsets within a range, ascending, each once; found in `O(log count)`.
  ///
  /// - Throws: `CorpusError` where they are no longer ascending, or cannot be read.
  func offsets(in range: Range<Int>) throws(CorpusError) -> [Int] {
    func changed(_ index: Int, _ offset: Int) -> CorpusError {
      .changed(
        path: path, position: 8 * index, reason: "is offset \(offset), which is not in order")
    }
    var (low, high) = (0, count)
    // The offsets before `low` and at `high`, between which all others lie.
    var (before, after) = (-1, Int.max)
    while low < high {
      let middle = (low + high) / 2
      let offset = try value(middle)
      guard before <= offset, offset <= after else { throw changed(middle, offset) }
      if offset < range.lowerBound {
        (low, before) = (middle + 1, offset)
      } else {
        (high, after) = (middle, offset)
      }
    }
    var offsets: [Int] = []
    var last = range.lowerBound
    for index in low..<count {
      let offset = try value(index)
      guard offset >= last else { throw changed(index, offset) }
      guard offset < range.upperBound else { break }
      // Megatron's documents may be empty.
      if offset != offsets.last { offsets.append(offset) }
      last = offset
    }
    return offsets
  }

  private var path: String {
    switch source {
    case .list(let file): file.path
    case .megatron(let megatron): megatron.path
    }
  }

  private func value(_ index: Int) throws(CorpusError) -> Int {
    switch source {
    case .list(let file):
      let offset = try dataFiles { () throws(FileError) in
        try file.number(at: 8 * index, as: UInt64.self)
      }
      return Int(clamping: offset)
    case .megatron(let megatron): return try megatron.start(ofDocument: index)
    }
  }
}
