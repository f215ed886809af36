import Glibc

/// A file operation that the operating system refused.
package struct FileError: Error, Equatable, CustomStringConvertible {
  /// What was tried, such as `open` or `write to`.
  package let action: String
  /// The file or folder.
  package let path: String
  /// The system's error number.
  package let code: Int32
  /// What is wrong where the system refused nothing.
  private let fault: Fault?

  /// What can be wrong with a file that the system would read or write.
  enum Fault: Equatable {
    /// Something else stands where a file is to be read.
    case notReadable(FileKind)
    /// Something else stands where a file or folder is to be written.
    case notReplaceable(FileKind)
    /// It was shortened after it was opened.
    case shortened(from: Int, to: Int)
    /// It is longer than such a file can be.
    case tooLong(bytes: Int, most: Int)
  }

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
    fault = nil
  }

  /// Describes what this program refuses, and not the system.
  init(_ action: String, _ path: String, fault: Fault) {
    (self.action, self.path, self.code, self.fault) = (action, path, ESPIPE, fault)
  }

  /// Whether the system ran out of something: space on the disk, memory, or files that may be open.
  package var isExhaustion: Bool {
    [ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE, ENFILE].contains(code)
  }

  /// One sentence: what failed, where, why, and what to do where that is known.
  package var description: String {
    switch fault {
    case .notReadable(let kind):
      "cannot \(action) \(path): it is a \(kind), which has no beginning to go back to; write what it "
        + "gives into a file, and name that"
    case .notReplaceable(let kind):
      "cannot \(action) \(path): it is a \(kind), which is never replaced; name another file or folder"
    case .shortened(let before, let now):
      "cannot \(action) \(path): it was changed meanwhile, and ends at byte \(now) where there were "
        + "\(before) bytes when it was opened; restore it, and go on from the last checkpoint"
    case .tooLong(let bytes, let most):
      "cannot \(action) \(path): it has \(bytes) bytes, and such a file at most \(most); is it another one?"
    case nil: "cannot \(action) \(path): \(String(cString: strerror(code)))\(cure)"
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
