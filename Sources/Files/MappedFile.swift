import Foundation

/// A file seen as memory, read only: a page is read from disk when it is first touched.
///
/// The file must keep its length while it is mapped.
///
/// Unchecked: its memory is only read, and unmapped with the last reference.
package final class MappedFile: @unchecked Sendable {
  /// Where the file lies.
  package let path: String
  /// The whole content.
  package let bytes: UnsafeRawBufferPointer

  /// Maps a file.
  ///
  /// A pipe is not opened, which would wait for who writes to it.
  ///
  /// - Throws: `FileError` when it is missing, no regular file, or unreadable.
  package init(path: String) throws(FileError) {
    switch FileSystem.kind(path) {
    case .missing, .file: break
    case .folder: throw FileError("read", path, code: EISDIR)
    case let kind: throw FileError("read", path, kind: kind)
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("inspect", path) }
    self.path = path
    let count = Int(status.st_size)
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else { throw FileError("map", path) }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
  }

  deinit {
    if let base = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
    }
  }

  /// A copy of the whole content.
  ///
  /// `bytes` are there only as long as the file is, which ends with the last use of it and not of them.
  package var data: Data { withExtendedLifetime(self) { Data(bytes) } }

  /// Gives the memory of pages that were read back to the system; they are read again if touched.
  ///
  /// - Parameter range: Offsets in bytes; only pages that lie wholly inside are given back.
  package func release(_ range: Range<Int>) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (range.lowerBound + page - 1) / page * page
    let last = range.upperBound == bytes.count ? bytes.count : range.upperBound / page * page
    guard let base = bytes.baseAddress, first < last else { return }
    madvise(UnsafeMutableRawPointer(mutating: base) + first, last - first, MADV_DONTNEED)
  }
}
