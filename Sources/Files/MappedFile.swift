import Foundation

/// A file seen as memory, read only: a short one is read at once, of a long one a page when it is first touched.
///
/// A long file must keep its length while it is mapped: the process ends where one is read that was cut off. What may change
/// while it is read is an `OpenFile`.
///
/// Unchecked: its memory is only read, and given back with the last reference.
package final class MappedFile: @unchecked Sendable {
  /// Where the file lies.
  package let path: String
  /// The whole content.
  package let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// Bytes of the longest file that is read at once.
  private static let longestCopy = 1 << 25

  /// Opens a file.
  ///
  /// A pipe is not opened, which would wait for who writes to it.
  ///
  /// - Parameter most: Bytes of the longest file of its kind.
  /// - Throws: `FileError` when it is missing, no regular file, too long, or unreadable.
  package init(path: String, most: Int = .max) throws(FileError) {
    let (descriptor, count) = try FileSystem.openToRead(path)
    defer { close(descriptor) }
    guard count <= most else {
      throw FileError("read", path, fault: .tooLong(bytes: count, most: most))
    }
    self.path = path
    isMapped = count > Self.longestCopy
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    if isMapped {
      guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
      else { throw FileError("map", path) }
      bytes = UnsafeRawBufferPointer(start: base, count: count)
    } else {
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
      bytes = UnsafeRawBufferPointer(room)
      try FileSystem.read(descriptor, 0..<count, of: path, length: count, into: room.baseAddress!)
    }
  }

  deinit {
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count)
    } else {
      bytes.deallocate()
    }
  }

  /// A copy of the whole content.
  ///
  /// `bytes` are there only as long as the file is, which ends with the last use of it and not of them.
  package var data: Data { withExtendedLifetime(self) { Data(bytes) } }
}
