import Glibc

/// A file operation that the operating system refused.
package struct FileError: Error, Equatable, CustomStringConvertible {
  /// What was tried, such as `open` or `write to`.
  package let action: String
  /// The file or folder.
  package let path: String
  /// The system's error number.
  package let code: Int32
  /// What stands there in place of a regular file; nil where that is not what is wrong.
  private let kind: FileKind?

  /// Describes a refused operation.
  ///
  /// - Parameters:
  ///   - action: What was tried, as it reads after "cannot".
  ///   - path: The file or folder.
  ///   - code: The error number; the calling thread's `errno` unless given.
  package init(_ action: String, _ path: String, code: Int32 = errno) {
    self.action = action
    self.path = path
    self.code = code
    kind = nil
  }

  /// Describes something that is no regular file.
  init(_ action: String, _ path: String, kind: FileKind) {
    (self.action, self.path, self.code, self.kind) = (action, path, ESPIPE, kind)
  }

  /// Whether the system ran out of something: space on the disk, memory, or files that may be open.
  package var isExhaustion: Bool {
    [ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE, ENFILE].contains(code)
  }

  /// One sentence: what failed, where, why, and what to do where that is known.
  package var description: String {
    switch kind {
    case .pipe?, .socket?, .device?:
      "cannot \(action) \(path): it is a \(kind!), which has no beginning to go back to; write what it "
        + "gives into a file, and name that"
    default: "cannot \(action) \(path): \(String(cString: strerror(code)))\(cure)"
    }
  }

  private var cure: String {
    switch code {
    case ENOSPC, EDQUOT: "; free space there or write to another disk"
    case EACCES, EPERM, EROFS: "; choose a place that this user may use"
    case EISDIR: "; name a file in it"
    case EEXIST, ENOTDIR: "; a part of that path is a file: choose another path"
    default: ""
    }
  }
}
