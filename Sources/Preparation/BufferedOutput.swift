import Files

/// A file that is written from its start to its end, a megabyte at a time.
final class BufferedOutput {
  private let file: AtomicFile
  private var buffer: [UInt8] = []
  private var offset = 0

  init(path: String) throws(FileError) { file = try AtomicFile(path: path) }

  /// Tokens, little endian, of so many bytes each.
  func append(_ tokens: [Int32], bytes: Int) throws(FileError) {
    for token in tokens {
      for byte in 0..<bytes { buffer.append(UInt8(truncatingIfNeeded: token >> (8 * Int32(byte)))) }
    }
    try flushIfLong()
  }

  func append(_ number: UInt64) throws(FileError) {
    withUnsafeBytes(of: number.littleEndian) { buffer.append(contentsOf: $0) }
    try flushIfLong()
  }

  /// A byte a token: 0 for the first, 1 for the others.
  func append(mask count: Int, zeros: Int) throws(FileError) {
    buffer.append(contentsOf: repeatElement(0, count: zeros))
    buffer.append(contentsOf: repeatElement(1, count: count - zeros))
    try flushIfLong()
  }

  /// All of another file.
  func append(_ other: MappedFile) throws(FileError) {
    try flush()
    try file.write(other.bytes, at: offset)
    offset += other.bytes.count
  }

  func commit() throws(FileError) {
    try flush()
    try file.commit()
  }

  private func flushIfLong() throws(FileError) {
    if buffer.count >= 1 << 20 { try flush() }
  }

  private func flush() throws(FileError) {
    var failure: FileError?
    buffer.withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
    offset += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }
}
