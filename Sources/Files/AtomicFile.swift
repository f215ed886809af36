import Foundation

/// A file that appears under its name only when it is complete and on the disk.
///
/// Until `commit` all is written to a hidden file beside it; an old file of that name stays
/// untouched, and an error or a dropped `AtomicFile` removes only the hidden one.
package final class AtomicFile {
  /// Where the file will lie.
  package let path: String
  private let temporary: String
  private var descriptor: Int32

  /// Begins to write a file.
  ///
  /// - Throws: `FileError` when its folder is missing or may not be written, or when what stands there is no file.
  package init(path: String) throws(FileError) {
    self.path = path
    try FileSystem.checkOutput(path)
    temporary = "\(FileSystem.folder(of: path))/.tmp-\(FileSystem.name(of: path))-\(getpid())"
    // What a killed process of this number left; nothing that stands there is written through.
    unlink(temporary)
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError("write", path) }
  }

  /// Writes bytes at a place in the file.
  ///
  /// - Throws: `FileError` when the disk is full or fails.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    precondition(descriptor >= 0, "\(path) was written to after its end")
    try FileSystem.write(bytes, to: descriptor, at: offset, of: path)
  }

  /// Writes the bytes of `data` at the file's start.
  package func write(_ data: Data) throws(FileError) {
    var failure: FileError?
    data.withUnsafeBytes { bytes in
      do throws(FileError) { try write(bytes, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Puts the file in its place, replacing an old one, and waits until that is on the disk.
  package func commit() throws(FileError) {
    precondition(descriptor >= 0, "\(path) was committed twice")
    guard fsync(descriptor) == 0 else { throw FileError("write", path) }
    let closing = descriptor
    descriptor = -1
    guard close(closing) == 0 else {
      let error = FileError("write", path)
      unlink(temporary)
      throw error
    }
    do throws(FileError) {
      try FileSystem.checkOutput(path)
      try FileSystem.rename(temporary, to: path)
    } catch {
      unlink(temporary)
      throw error
    }
    try FileSystem.synchronize(FileSystem.folder(of: path))
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(temporary)
    }
  }

  /// Writes a whole small file at once.
  package static func write(_ data: Data, to path: String) throws(FileError) {
    let file = try AtomicFile(path: path)
    try file.write(data)
    try file.commit()
  }
}
