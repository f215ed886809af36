import Files
import Tokenizers

/// A mapped file of tokens: text, one token a byte, or little-endian `uint16` or `uint32` tokens.
package struct TokenFile: Sendable {
  /// Number of tokens.
  package let count: Int
  /// Bytes that a token takes: 1, 2 or 4.
  package let tokenBytes: Int
  /// Where documents begin in it; nil where it is one text.
  package var documents: Documents?
  /// Which tokens are to be predicted; nil for all.
  package var lossMask: LossMask?
  private let file: MappedFile

  /// Where the file lies.
  package var path: String { file.path }

  /// Maps a file; reads nothing.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - tokenBytes: Bytes that a token takes, 1, 2 or 4; 0 for 2 if the name ends with `.bin`, else 1.
  /// - Throws: `CorpusError` when it is missing, unreadable, empty, or ends within a token.
  package init(path: String, tokenBytes: Int = 0) throws(CorpusError) {
    precondition([0, 1, 2, 4].contains(tokenBytes), "tokens of \(tokenBytes) bytes")
    file = try MappedFile(data: path)
    let width = tokenBytes > 0 ? tokenBytes : path.hasSuffix(".bin") ? 2 : 1
    let bytes = file.bytes.count
    guard bytes > 0 else { throw .empty(path: path) }
    guard bytes % width == 0 else {
      throw .partialToken(path: path, bytes: bytes, tokenBytes: width)
    }
    self.tokenBytes = width
    count = bytes / width
  }

  /// Reads consecutive tokens.
  ///
  /// - Parameters:
  ///   - range: Which, within `0..<count`.
  ///   - destination: Room for as many; a token above `Int32.max` becomes negative.
  package func read(_ range: Range<Int>, into destination: UnsafeMutablePointer<Int32>) {
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

  /// Reads the inputs and targets of a part of the window that begins at token `start`.
  ///
  /// There is no target where the token to predict begins a document, or where the loss mask leaves it
  /// out.
  ///
  /// - Parameters:
  ///   - start: The window's first token.
  ///   - positions: Which positions of the window.
  ///   - end: The first token that must not be read; positions from there on get input 0, and the
  ///     position before it and those get target −1.
  ///   - vocabulary: Number of different tokens.
  ///   - inputs: Room for the tokens at the positions.
  ///   - targets: Room for the tokens after them.
  /// - Throws: `CorpusError` that names a token beyond the vocabulary, or a byte of the loss mask that is
  ///   neither 0 nor 1, among those that are read.
  func readWindow(
    at start: Int, positions: Range<Int>, end: Int, vocabulary: Int,
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>
  ) throws(CorpusError) {
    guard let inputs = inputs.baseAddress, let targets = targets.baseAddress else { return }
    let first = start + positions.lowerBound
    let present = max(0, min(positions.count, end - first))
    if present > 0 {
      read(first..<first + present, into: inputs)
      try check(inputs, count: present, from: first, vocabulary: vocabulary)
    }
    for i in present..<positions.count { inputs[i] = 0 }
    // A target is the next input; only the last one is read from the file once more.
    for i in 0..<max(0, present - 1) { targets[i] = inputs[i + 1] }
    for i in max(0, present - 1)..<positions.count { targets[i] = -1 }
    if present > 0, first + present < end {
      let last = targets + (present - 1)
      read(first + present..<first + present + 1, into: last)
      try check(last, count: 1, from: first + present, vocabulary: vocabulary)
    }
    let predicted = first + 1..<first + 1 + present
    for token in documentStarts(in: predicted.clamped(to: 0..<end)) {
      targets[token - predicted.lowerBound] = -1
    }
    if let lossMask {
      for i in 0..<present where targets[i] >= 0 {
        if try !lossMask.predicts(first + 1 + i) { targets[i] = -1 }
      }
    }
  }

  /// The vocabulary that the file's tokens need: 256 for bytes, else one more than the largest token.
  ///
  /// With several parts each gives what the tokens of its share need, so that ranks may read a file
  /// together; the file needs the greatest of them.
  ///
  /// - Parameters:
  ///   - part: Which part of the file, from 0.
  ///   - parts: Number of its parts.
  package func vocabulary(part: Int, of parts: Int) -> Int {
    precondition((0..<parts).contains(part), "part \(part) of \(parts)")
    guard tokenBytes > 1 else { return ByteTokenizer().vocabulary }
    return Int(largestToken(in: count * part / parts..<count * (part + 1) / parts)) + 1
  }

  /// Checks tokens that were read.
  ///
  /// - Parameter position: The first one's place in the file.
  private func check(
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

  /// The largest of some tokens, 0 for none.
  func largestToken(in range: Range<Int>) -> UInt32 {
    guard let base = start(of: range) else { return 0 }
    switch tokenBytes {
    case 1:
      return UInt32(
        largest(
          UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt8.self), count: range.count)))
    case 2:
      return UInt32(
        largest(
          UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt16.self), count: range.count))
      )
    default:
      return largest(
        UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt32.self), count: range.count))
    }
  }

  private func start(of range: Range<Int>) -> UnsafeRawPointer? {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count,
      "tokens \(range) of \(path), which has \(count)")
    return range.isEmpty ? nil : file.bytes.baseAddress! + range.lowerBound * tokenBytes
  }

  @inline(__always)
  private func largest<T: FixedWidthInteger>(_ tokens: UnsafeBufferPointer<T>) -> T {
    var result: T = 0
    for i in 0..<tokens.count { result = max(result, T(littleEndian: tokens[i])) }
    return result
  }
}
