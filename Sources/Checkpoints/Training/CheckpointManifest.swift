import Configuration
import Crypto
import Files
import Foundation

/// What a checkpoint's files hold, by the hashes that they were written with.
package struct CheckpointManifest: Sendable, Equatable {
  /// The ranges of each file, ascending and without gaps.
  let files: [String: [WrittenRange]]

  /// The manifest of what was written.
  init(_ ranges: [WrittenRange]) {
    files = Dictionary(grouping: ranges, by: \.file).mapValues {
      $0.sorted { $0.offset < $1.offset }
    }
    for (name, ranges) in files {
      var end = 0
      for range in ranges {
        precondition(
          range.offset == end,
          "\(name): bytes \(end) to \(range.offset) were written twice or never")
        end += range.length
      }
    }
  }

  /// Bytes of a file; nil for one that it does not know.
  func size(of file: String) -> Int? { files[file]?.last.map { $0.offset + $0.length } }

  /// Bytes of all files.
  package var bytes: Int { files.keys.reduce(0) { $0 + (size(of: $1) ?? 0) } }

  /// As it stands in `state.json`.
  var json: JSONValue {
    .object(
      files.mapValues { ranges in
        [
          "size": .integer(ranges.last.map { $0.offset + $0.length } ?? 0),
          "ranges": .array(
            ranges.map {
              [
                "offset": .integer($0.offset), "length": .integer($0.length),
                "sha256": .string($0.hash.text),
              ]
            }),
        ]
      })
  }

  /// Reads what stands in `state.json`; nil where that is no manifest.
  init?(_ json: JSONValue) {
    guard let object = json.object else { return nil }
    var files: [String: [WrittenRange]] = [:]
    var total = 0
    for (name, file) in object {
      // A name leads nowhere but into the folder.
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      guard !name.contains("\0"), !parts.contains(where: { ["", ".", ".."].contains($0) }),
        let size = file["size"]?.integer, let items = file["ranges"]?.array
      else { return nil }
      var (ranges, end): ([WrittenRange], Int) = ([], 0)
      for item in items {
        guard let offset = item["offset"]?.integer, offset == end,
          let length = item["length"]?.integer, length > 0,
          let hash = item["sha256"]?.string.flatMap(ContentHash.init(text:))
        else { return nil }
        let (next, overflow) = end.addingReportingOverflow(length)
        guard !overflow else { return nil }
        end = next
        ranges.append(WrittenRange(file: name, offset: offset, length: length, hash: hash))
      }
      let (sum, overflow) = total.addingReportingOverflow(end)
      guard end == size, size > 0, !overflow else { return nil }
      total = sum
      files[name] = ranges
    }
    self.files = files
  }

  /// Reads a share of the files again, and compares.
  ///
  /// - Parameters:
  ///   - folder: Where they lie.
  ///   - part: Which share, from 0.
  ///   - parts: Number of shares; the first looks at the files' sizes too.
  /// - Throws: `CheckpointError.damaged` that names the file and the bytes.
  func verify(in folder: String, part: Int = 0, of parts: Int = 1) throws(CheckpointError) {
    precondition((0..<parts).contains(part), "part \(part) of \(parts)")
    let ranges = files.sorted { $0.key < $1.key }.flatMap(\.value)
    if part == 0 { try checkSizes(in: folder) }
    for index in stride(from: part, to: ranges.count, by: parts) {
      try verify(ranges[index], in: folder)
    }
  }

  /// Reads some of the files again, and compares.
  func verify(_ names: [String], in folder: String) throws(CheckpointError) {
    for range in names.sorted().flatMap({ files[$0] ?? [] }) { try verify(range, in: folder) }
  }

  /// Compares the sizes of the files alone.
  func checkSizes(in folder: String) throws(CheckpointError) {
    for name in files.keys.sorted() { try checkSize(of: name, in: folder) }
  }

  private func checkSize(of name: String, in folder: String) throws(CheckpointError) {
    let path = "\(folder)/\(name)"
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { throw .damaged(path: folder, reason: "\(name) is missing") }
      throw .file(FileError("inspect", path))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .damaged(path: folder, reason: "\(name) is no file")
    }
    let (found, wanted) = (Int(status.st_size), size(of: name) ?? 0)
    guard found == wanted else {
      throw .damaged(
        path: folder, reason: "\(name) has \(found) bytes, but it was written with \(wanted)")
    }
  }

  private func verify(_ range: WrittenRange, in folder: String) throws(CheckpointError) {
    let path = "\(folder)/\(range.file)"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { throw .damaged(path: folder, reason: "\(range.file) is missing") }
      throw .file(FileError("open", path))
    }
    defer { close(descriptor) }
    var hasher = SHA256()
    let piece = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(range.length, 1 << 20), alignment: 64)
    defer { piece.deallocate() }
    var done = 0
    while done < range.length {
      let read = pread(
        descriptor, piece.baseAddress, min(piece.count, range.length - done),
        off_t(range.offset + done))
      if read < 0 {
        if errno == EINTR { continue }
        throw .file(FileError("read", path))
      }
      guard read > 0 else {
        throw .damaged(
          path: folder, reason: "\(range.file) ends at byte \(range.offset + done), too early")
      }
      hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: piece[..<read]))
      done += read
    }
    guard ContentHash(hasher.finalize()) == range.hash else {
      throw .damaged(
        path: folder,
        reason: "bytes \(range.offset) to \(range.offset + range.length) of \(range.file) are not "
          + "those that were written")
    }
  }
}

extension Data {
  /// Its bytes, for a body that throws errors of checkpoints.
  func withBytes(
    _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    var failure: CheckpointError?
    withUnsafeBytes { bytes in
      do throws(CheckpointError) { try body(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
