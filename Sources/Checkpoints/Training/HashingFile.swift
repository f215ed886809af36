import Crypto
import Files
import Foundation

/// A file that is written at any places, by one or by several processes at once, and hashed meanwhile.
///
/// It is no `AtomicFile`: what it lies in appears as a whole.
final class HashingFile {
  /// The file, from the checkpoint's folder.
  let name: String
  private let path: String
  private var descriptor: Int32
  private var ranges: [WrittenRange] = []
  /// The bytes that were written last, one after another, and are hashed so far.
  private var open: (offset: Int, length: Int, hasher: SHA256)?

  /// A range of more bytes than this is closed, so that the parts of a long file can be checked by several ranks.
  private static let longest = 64 << 20

  /// Opens a file, which is made where there is none.
  init(_ name: String, in folder: String) throws(FileError) {
    self.name = name
    path = "\(folder)/\(name)"
    descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw FileError("write", path) }
  }

  /// Writes bytes at a place in the file; each byte is to be written once.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    precondition(descriptor >= 0, "\(path) was written to after its end")
    guard bytes.count > 0 else { return }
    if let open, open.offset + open.length != offset || open.length >= Self.longest { close(open) }
    var range = open ?? (offset, 0, SHA256())
    range.hasher.update(bufferPointer: bytes)
    range.length += bytes.count
    open = range
    try FileSystem.write(bytes, to: descriptor, at: offset, of: path)
  }

  /// Waits until what was written is on the disk.
  ///
  /// - Returns: What this process wrote.
  func finish() throws(FileError) -> [WrittenRange] {
    if let open { close(open) }
    guard fsync(descriptor) == 0 else { throw FileError("write", path) }
    let closing = descriptor
    descriptor = -1
    guard Glibc.close(closing) == 0 else { throw FileError("write", path) }
    return ranges
  }

  private func close(_ range: (offset: Int, length: Int, hasher: SHA256)) {
    ranges.append(
      WrittenRange(
        file: name, offset: range.offset, length: range.length,
        hash: ContentHash(range.hasher.finalize())))
    open = nil
  }

  deinit {
    if descriptor >= 0 { Glibc.close(descriptor) }
  }
}
