import Files

/// Numbers of one width, in a file or in memory: bytes, or little-endian `uint16` or `uint32`.
struct StoredTokens: Sendable {
  /// Number of tokens.
  let count: Int
  /// Bytes that a token takes: 1, 2 or 4.
  let tokenBytes: Int
  /// Where documents begin, where the file or its index says it.
  let documents: DocumentOffsets?
  /// Where the file lies.
  let path: String
  private let storage: Storage
  /// Bytes before the first token.
  private let first: Int

  /// Opens a file, and looks at how it begins: llm.c's and Megatron's say themselves how wide tokens are.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - tokenBytes: Bytes that a token takes, 1, 2 or 4; 0 for what the file says, or 2 if its name ends with
  ///     `.bin`, else 1.
  /// - Throws: `CorpusError` when it is missing, unreadable, empty, of a format that is no text or tokens, or ends
  ///   within a token.
  init(path: String, tokenBytes: Int) throws(CorpusError) {
    precondition([0, 1, 2, 4].contains(tokenBytes), "tokens of \(tokenBytes) bytes")
    func open(_ path: String) throws(CorpusError) -> OpenFile {
      try dataFiles { () throws(FileError) in try OpenFile(path: path) }
    }
    var file = try open(path)
    if path.hasSuffix(".idx"), try MegatronIndex.begins(file) {
      file = try open(String(path.dropLast(4)) + ".bin")
    }
    guard file.count > 0 else { throw .empty(path: path) }
    let layout = try TokenLayout(file, said: tokenBytes)
    guard layout.count > 0 else { throw .empty(path: path) }
    (self.path, storage) = (file.path, .file(file))
    (self.tokenBytes, count, first) = (layout.tokenBytes, layout.count, layout.start)
    documents = layout.documents
  }

  /// Holds tokens that were made of a file.
  init(path: String, holding tokens: [Int32]) {
    (self.path, storage) = (path, .memory(tokens))
    (tokenBytes, count, first, documents) = (4, tokens.count, 0, nil)
  }

  /// All bytes of the file, as they stand.
  ///
  /// - Throws: `CorpusError` when there are more than `most`, or when the file has become shorter.
  func content(most: Int) throws(CorpusError) -> [UInt8] {
    guard case .file(let file) = storage else { preconditionFailure("\(path) is not a file's") }
    guard file.count <= most else {
      throw .textTooLong(path: path, bytes: file.count, most: most)
    }
    return try dataFiles { () throws(FileError) in try file.read(0..<file.count) }
  }

  /// Reads consecutive tokens.
  ///
  /// - Parameters:
  ///   - range: Which, within `0..<count`.
  ///   - destination: Room for as many; a token above `Int32.max` becomes negative.
  /// - Throws: `CorpusError` when the disk fails, or when the file has become shorter.
  func read(
    _ range: Range<Int>, into destination: UnsafeMutablePointer<Int32>
  ) throws(CorpusError) {
    check(range)
    let room = UnsafeMutableRawPointer(destination)
    switch storage {
    case .memory(let tokens):
      tokens.withUnsafeBytes {
        room.copyMemory(from: $0.baseAddress! + 4 * range.lowerBound, byteCount: 4 * range.count)
      }
    case .file(let file):
      // What is narrower is read to the room's end, and widened from there on.
      let source = room + (4 - tokenBytes) * range.count
      try dataFiles { () throws(FileError) in
        try file.read(
          first + range.lowerBound * tokenBytes..<first + range.upperBound * tokenBytes,
          into: source)
      }
      switch tokenBytes {
      case 1:
        for i in 0..<range.count {
          destination[i] = Int32(source.load(fromByteOffset: i, as: UInt8.self))
        }
      case 2:
        for i in 0..<range.count {
          destination[i] = Int32(
            UInt16(littleEndian: source.load(fromByteOffset: 2 * i, as: UInt16.self)))
        }
      default:
        for i in 0..<range.count { destination[i] = Int32(littleEndian: destination[i]) }
      }
    }
  }

  /// The largest of some tokens that are not above a limit, 0 for none.
  func largestToken(in range: Range<Int>, upTo limit: UInt32 = .max) throws(CorpusError) -> UInt32 {
    let piece = 1 << 18
    var tokens = [Int32](repeating: 0, count: min(piece, range.count))
    var largest: UInt32 = 0
    for start in stride(from: range.lowerBound, to: range.upperBound, by: piece) {
      let part = start..<min(start + piece, range.upperBound)
      try tokens.withUnsafeMutableBufferPointer { tokens throws(CorpusError) in
        let base = tokens.baseAddress!
        try read(part, into: base)
        for i in 0..<part.count {
          let token = UInt32(bitPattern: base[i])
          if token <= limit { largest = max(largest, token) }
        }
      }
    }
    return largest
  }

  /// Checks tokens that were read.
  ///
  /// - Parameter position: The first one's place in the file.
  func check(
    _ tokens: UnsafePointer<Int32>, count: Int, from position: Int, vocabulary: Int
  ) throws(CorpusError) {
    var largest: UInt32 = 0
    for i in 0..<count { largest = max(largest, UInt32(bitPattern: tokens[i])) }
    guard Int(largest) >= vocabulary else { return }
    for i in 0..<count where Int(UInt32(bitPattern: tokens[i])) >= vocabulary {
      throw .beyondVocabulary(
        path: path, position: position + i, token: Int(UInt32(bitPattern: tokens[i])),
        vocabulary: vocabulary)
    }
  }

  private func check(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count,
      "tokens \(range) of \(path), which has \(count)")
  }
}

/// Where tokens are kept.
private enum Storage: Sendable {
  case file(OpenFile)
  case memory([Int32])
}
