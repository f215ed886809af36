import Foundation

/// File operations that survive a crash: each says with a typed error what was refused.
package enum FileSystem {
  /// Makes a folder and those above it; one that exists is fine.
  package static func makeFolder(_ path: String) throws(FileError) {
    if isFolder(path) { return }
    let parent = folder(of: path)
    if parent != path { try makeFolder(parent) }
    guard mkdir(path, 0o777) == 0 || (errno == EEXIST && isFolder(path)) else {
      throw FileError("make the folder", path)
    }
  }

  /// Waits until a file's content, or a folder's list of names, is on the disk.
  package static func synchronize(_ path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    // Some file systems cannot synchronise a folder; they say EINVAL and nothing can be done.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError("write to", path) }
  }

  /// Writes bytes at a place in an open file.
  ///
  /// - Throws: `FileError` when the disk is full or fails.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int, of path: String
  ) throws(FileError) {
    var done = 0
    while done < bytes.count {
      // One call writes at most 2 GiB.
      let part = min(bytes.count - done, 1 << 30)
      let written = pwrite(descriptor, bytes.baseAddress! + done, part, off_t(offset + done))
      if written < 0 {
        if errno == EINTR { continue }
        throw FileError("write", path)
      }
      done += written
    }
  }

  /// Gives a file or folder another name in one step; a file of that name is replaced.
  package static func rename(_ old: String, to new: String) throws(FileError) {
    guard Glibc.rename(old, new) == 0 else { throw FileError("rename \(old) to", new) }
  }

  /// Removes a file or a folder with all that it holds; what does not exist is fine.
  package static func remove(_ path: String) throws(FileError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw FileError("remove", path)
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try remove("\(path)/\(name)") }
      guard rmdir(path) == 0 else { throw FileError("remove", path) }
    } else {
      guard unlink(path) == 0 else { throw FileError("remove", path) }
    }
  }

  /// The names in a folder, sorted.
  package static func names(in path: String) throws(FileError) -> [String] {
    guard let stream = opendir(path) else { throw FileError("list", path) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Whether a file or folder of that name exists.
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether a folder of that name exists.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The folder that a path lies in, `.` when it has no slash.
  package static func folder(of path: String) -> String {
    let trimmed = withoutSlash(path)
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : withoutSlash(String(trimmed[..<slash]))
  }

  /// The last component of a path.
  package static func name(of path: String) -> String {
    let trimmed = withoutSlash(path)
    return trimmed.lastIndex(of: "/").map { String(trimmed[trimmed.index(after: $0)...]) }
      ?? trimmed
  }

  private static func withoutSlash(_ path: String) -> String {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
