import Files

/// Numbers of one width, in a mapped file or in memory: bytes, or little-endian `uint16` or `uint32`.
struct StoredTokens: Sendable {
  /// Number of tokens.
  let count: Int
  /// Bytes that a token takes: 1, 2 or 4.
  let tokenBytes: Int
  /// Where documents begin, where the file or its index says it.
  let documents: DocumentOffsets?
  /// Where the file lies.
  let path: String
  /// The whole content.
  var bytes: UnsafeRawBufferPointer {
    switch storage {
    case .file(let file): file.bytes
    case .memory(let memory): memory.bytes
    }
  }
  private let storage: Storage
  /// Bytes before the first token.
  private let first: Int

  /// Maps a file, and looks at how it begins: llm.c's and Megatron's say themselves how wide tokens are.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - tokenBytes: Bytes that a token takes, 1, 2 or 4; 0 for what the file says, or 2 if its name ends with
  ///     `.bin`, else 1.
  /// - Throws: `CorpusError` when it is missing, unreadable, empty, of a format that is no text or tokens, or ends
  ///   within a token.
  init(path: String, tokenBytes: Int) throws(CorpusError) {
    precondition([0, 1, 2, 4].contains(tokenBytes), "tokens of \(tokenBytes) bytes")
    var file = try MappedFile(data: path)
    if path.hasSuffix(".idx"), MegatronIndex.begins(file) {
      file = try MappedFile(data: String(path.dropLast(4)) + ".bin")
    }
    guard file.bytes.count > 0 else { throw .empty(path: path) }
    let layout = try TokenLayout(file, said: tokenBytes)
    guard layout.count > 0 else { throw .empty(path: path) }
    (self.path, storage) = (file.path, .file(file))
    (self.tokenBytes, count, first) = (layout.tokenBytes, layout.count, layout.start)
    documents = layout.documents
  }

  /// Holds tokens that were made of a file.
  init(path: String, holding tokens: [Int32]) {
    (self.path, storage) = (path, .memory(TokenMemory(tokens)))
    (tokenBytes, count, first, documents) = (4, tokens.count, 0, nil)
  }

  /// Reads consecutive tokens.
  ///
  /// - Parameters:
  ///   - range: Which, within `0..<count`.
  ///   - destination: Room for as many; a token above `Int32.max` becomes negative.
  func read(_ range: Range<Int>, into destination: UnsafeMutablePointer<Int32>) {
    guard let base = start(of: range) else { return }
    switch tokenBytes {
    case 1:
      for i in 0..<range.count {
        destination[i] = Int32(base.load(fromByteOffset: i, as: UInt8.self))
      }
    case 2:
      for i in 0..<range.count {
        destination[i] = Int32(
          UInt16(littleEndian: base.load(fromByteOffset: 2 * i, as: UInt16.self)))
      }
    default:
      for i in 0..<range.count {
        destination[i] = Int32(
          bitPattern: UInt32(littleEndian: base.load(fromByteOffset: 4 * i, as: UInt32.self)))
      }
    }
  }

  /// The largest of some tokens that are not above a limit, 0 for none.
  func largestToken(in range: Range<Int>, upTo limit: UInt32 = .max) -> UInt32 {
    guard let base = start(of: range) else { return 0 }
    switch tokenBytes {
    case 1:
      return UInt32(
        largest(
          UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt8.self), count: range.count),
          upTo: UInt8(truncatingIfNeeded: limit)))
    case 2:
      return UInt32(
        largest(
          UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt16.self), count: range.count),
          upTo: UInt16(truncatingIfNeeded: limit)))
    default:
      return largest(
        UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt32.self), count: range.count),
        upTo: limit)
    }
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

  private func start(of range: Range<Int>) -> UnsafeRawPointer? {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count,
      "tokens \(range) of \(path), which has \(count)")
    return range.isEmpty ? nil : bytes.baseAddress! + first + range.lowerBound * tokenBytes
  }

  @inline(__always)
  private func largest<T: FixedWidthInteger>(_ tokens: UnsafeBufferPointer<T>, upTo limit: T) -> T {
    var result: T = 0
    for i in 0..<tokens.count {
      let token = T(littleEndian: tokens[i])
      if token <= limit { result = max(result, token) }
    }
    return result
  }
}

/// Where tokens are kept.
private enum Storage: Sendable {
  case file(MappedFile)
  case memory(TokenMemory)
}

/// Memory of tokens.
///
/// Unchecked: it is only read, and freed with the last reference.
private final class TokenMemory: @unchecked Sendable {
  /// Little-endian numbers of 32 bits.
  let bytes: UnsafeRawBufferPointer

  init(_ tokens: [Int32]) {
    let memory = UnsafeMutableBufferPointer<Int32>.allocate(capacity: tokens.count)
    _ = memory.initialize(from: tokens.lazy.map(\.littleEndian))
    bytes = UnsafeRawBufferPointer(memory)
  }

  deinit { bytes.deallocate() }
}
