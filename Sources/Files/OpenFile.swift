import Glibc

/// A file that stays open, of which parts are read when they are asked for.
///
/// It may change in the meantime: where it was cut off, that is an error, while memory that is mapped would end the process.
package final class OpenFile: Sendable {
  /// Where the file lies.
  package let path: String
  /// Its bytes when it was opened.
  package let count: Int
  private let descriptor: Int32

  /// Opens a file.
  ///
  /// - Throws: `FileError` when it is missing, no regular file, or unreadable.
  package init(path: String) throws(FileError) {
    self.path = path
    (descriptor, count) = try FileSystem.openToRead(path)
  }

  deinit { close(descriptor) }

  /// Reads some bytes.
  ///
  /// - Parameters:
  ///   - range: Which, within `0..<count`.
  ///   - destination: Room for as many.
  /// - Throws: `FileError` when the disk fails, or when the file has become shorter.
  package func read(
    _ range: Range<Int>, into destination: UnsafeMutableRawPointer
  ) throws(FileError) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count,
      "bytes \(range) of \(path), which has \(count)")
    try FileSystem.read(descriptor, range, of: path, length: count, into: destination)
  }

  /// Some bytes, as an array.
  package func read(_ range: Range<Int>) throws(FileError) -> [UInt8] {
    var failure: FileError?
    let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { room, count in
      guard let base = room.baseAddress else { return }
      do throws(FileError) {
        try read(range, into: base)
        count = range.count
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// A little-endian integer at a byte.
  package func number<Number: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int, as _: Number.Type = Number.self
  ) throws(FileError) -> Number {
    var number: Number = 0
    try read(offset..<offset + MemoryLayout<Number>.size, into: &number)
    return Number(littleEndian: number)
  }
}

extension FileSystem {
  /// Reads all of a range of an open file.
  ///
  /// - Parameter length: Bytes of the file when it was opened.
  static func read(
    _ descriptor: Int32, _ range: Range<Int>, of path: String, length: Int,
    into destination: UnsafeMutableRawPointer
  ) throws(FileError) {
    var done = 0
    while done < range.count {
      // One call reads at most 2 GiB.
      let part = min(range.count - done, 1 << 30)
      let read = pread(descriptor, destination + done, part, off_t(range.lowerBound + done))
      if read < 0 {
        if errno == EINTR { continue }
        throw FileError("read", path)
      }
      guard read > 0 else {
        var status = stat()
        fstat(descriptor, &status)
        throw FileError("read", path, fault: .shortened(from: length, to: Int(status.st_size)))
      }
      done += read
    }
  }
}
