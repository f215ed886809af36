import Configuration
import Files
import Foundation

/// What tells the files that a run reads from others: their sizes, and hashes of samples.
///
/// It costs little however long files are, so that every rank may take its own, and a run that goes on compares with the one before.
package struct DataFingerprint: Sendable, Equatable {
  /// One file.
  package struct File: Sendable, Equatable {
    /// The key that names it, such as `data.path`.
    package let key: String
    /// Where it lies.
    package let path: String
    /// Its size.
    package let bytes: Int
    /// Of its samples.
    package let hash: String
  }

  /// The files, in the order of the run file.
  package let files: [File]

  /// Looks at files.
  ///
  /// - Parameter named: The key that names each file.
  /// - Throws: `FileError` for one that is missing, unreadable or no file.
  package init(_ named: [(key: String, path: String)]) throws(FileError) {
    var files: [File] = []
    for (key, path) in named { files.append(try File(key: key, path: path)) }
    self.files = files
  }

  /// A number that differs where sizes or samples do, wherever the files lie.
  package var digest: UInt64 {
    files.map { "\($0.key) \($0.bytes) \($0.hash)\n" }.joined().utf8.fnv1a
  }

  /// As it stands in a checkpoint.
  package var json: JSONValue {
    .array(
      files.map {
        [
          "key": .string($0.key), "path": .string($0.path), "bytes": .integer($0.bytes),
          "samples": .string($0.hash),
        ]
      })
  }

  /// Reads what stands in a checkpoint; what is no file there is left out.
  package init(_ json: JSONValue) {
    files = (json.array ?? []).compactMap { item in
      guard let key = item["key"]?.string, let path = item["path"]?.string,
        let bytes = item["bytes"]?.integer, let hash = item["samples"]?.string
      else { return nil }
      return File(key: key, path: path, bytes: bytes, hash: hash)
    }
  }

  /// In what these files are not those of an earlier run; empty where they are, wherever they lie.
  ///
  /// - Parameter keys: The keys whose files are compared.
  package func differences(
    from earlier: DataFingerprint, of keys: (String) -> Bool = { _ in true }
  ) -> [String] {
    var lines: [String] = []
    let all = (files + earlier.files).map(\.key).filter(keys)
    for key in all.enumerated().filter({ all.firstIndex(of: $1) == $0 }).map(\.element) {
      let (now, before) = (files.filter { $0.key == key }, earlier.files.filter { $0.key == key })
      if now.count != before.count {
        lines.append("\(key): \(before.count) files → \(now.count)")
        continue
      }
      for (new, old) in zip(now, before) {
        if new.bytes != old.bytes {
          lines.append("\(key): \(new.path) had \(old.bytes) bytes → \(new.bytes)")
        } else if new.hash != old.hash {
          lines.append("\(key): \(new.path) holds other bytes than before, as many")
        }
      }
    }
    return lines
  }
}

extension DataFingerprint.File {
  /// Bytes of a sample, and the most samples of a file, evenly spread from its first bytes to its last.
  private static var sample: Int { 4096 }
  private static var samples: Int { 64 }

  fileprivate init(key: String, path: String) throws(FileError) {
    // A pipe is not waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("inspect", path) }
    let bytes = Int(status.st_size)
    let last = max(0, bytes - Self.sample)
    let count = min(Self.samples, (bytes + Self.sample - 1) / Self.sample)
    var room = [UInt8](repeating: 0, count: Self.sample)
    var all: [UInt8] = []
    for index in 0..<count {
      let place =
        count == 1 ? 0 : last / (count - 1) * index + last % (count - 1) * index / (count - 1)
      let read = pread(descriptor, &room, room.count, off_t(place))
      guard read >= 0 else { throw FileError("read", path) }
      all += room[..<read]
    }
    let digits = String(all.fnv1a, radix: 16)
    self.init(
      key: key, path: path, bytes: bytes,
      hash: "fnv1a:" + String(repeating: "0", count: 16 - digits.count) + digits)
  }
}

extension DataSection {
  /// The files that the section names, those in folders among them.
  ///
  /// - Throws: `FileError` for a folder that cannot be listed.
  package func files() throws(FileError) -> [(key: String, path: String)] {
    var files: [(key: String, path: String)] = []
    for (key, paths) in [
      ("data.path", path.map(\.path)),
      ("data.documents", documents.filter { Int32($0) == nil }),
      ("data.loss_mask", lossMask), ("data.labels", labels),
    ] {
      for path in paths {
        for file in try DataFingerprint.files(at: path) { files.append((key, file)) }
      }
    }
    if path.isEmpty, let text = subsections[NeedleTask.self].path {
      files.append(("\(NeedleTask.name).path", text))
    }
    return files
  }
}

extension DataFingerprint {
  /// A file, or the files of a folder.
  package static func files(at path: String) throws(FileError) -> [String] {
    guard FileSystem.isFolder(path) else { return [path] }
    return try FileSystem.names(in: path).filter { !$0.hasPrefix(".") }.map { "\(path)/\($0)" }
      .filter { !FileSystem.isFolder($0) }
  }
}
