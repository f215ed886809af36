import Glibc

/// What a path leads to, links followed.
package enum FileKind: Sendable, Equatable {
  case missing, file, folder, pipe, socket, device
}

extension FileSystem {
  /// What a path leads to; nothing is opened.
  package static func kind(_ path: String) -> FileKind {
    var status = stat()
    guard stat(path, &status) == 0 else { return .missing }
    return switch status.st_mode & S_IFMT {
    case S_IFDIR: .folder
    case S_IFIFO: .pipe
    case S_IFSOCK: .socket
    case S_IFCHR, S_IFBLK: .device
    default: .file
    }
  }
}
