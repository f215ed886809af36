import Glibc

/// What a path leads to, links followed.
package enum FileKind: Sendable, Equatable {
  case missing, file, folder, link, pipe, socket, device
}

extension FileSystem {
  /// What a path leads to; nothing is opened.
  ///
  /// - Parameter following: Whether links are followed; where they are not, a link is one.
  package static func kind(_ path: String, following: Bool = true) -> FileKind {
    var status = stat()
    guard (following ? stat(path, &status) : lstat(path, &status)) == 0 else { return .missing }
    return FileKind(status)
  }

  /// Refuses a place for output where something stands that is never replaced: a device, a pipe, a socket, or a link,
  /// which may lead anywhere.
  package static func checkOutput(_ path: String) throws(FileError) {
    switch kind(path, following: false) {
    case .missing, .file, .folder: break
    case let kind: throw FileError("write", path, fault: .notReplaceable(kind))
    }
  }

  /// Opens a regular file for reading; anything else is refused without opening it, as a pipe would wait for its writer.
  ///
  /// - Returns: The descriptor, which the caller closes, and the file's length.
  static func openToRead(_ path: String) throws(FileError) -> (descriptor: Int32, bytes: Int) {
    switch kind(path) {
    case .file, .missing: break
    case .folder: throw FileError("read", path, code: EISDIR)
    case let kind: throw FileError("read", path, fault: .notReadable(kind))
    }
    // What stands there now may be another than a moment ago.
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    var descriptor = open(path, flags)
    if descriptor < 0, errno == EMFILE, allowMoreFiles() { descriptor = open(path, flags) }
    guard descriptor >= 0 else { throw FileError("open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = FileError("inspect", path)
      close(descriptor)
      throw error
    }
    guard FileKind(status) == .file else {
      close(descriptor)
      throw FileError("read", path, fault: .notReadable(FileKind(status)))
    }
    return (descriptor, Int(status.st_size))
  }

  /// Raises the number of files that may be open to what the system lets a user have; false where that changes nothing.
  private static func allowMoreFiles() -> Bool {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
      limit.rlim_cur < limit.rlim_max
    else { return false }
    limit.rlim_cur = limit.rlim_max
    return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
  }
}

extension FileKind {
  init(_ status: stat) {
    self =
      switch status.st_mode & S_IFMT {
      case S_IFDIR: .folder
      case S_IFLNK: .link
      case S_IFIFO: .pipe
      case S_IFSOCK: .socket
      case S_IFCHR, S_IFBLK: .device
      default: .file
      }
  }
}
