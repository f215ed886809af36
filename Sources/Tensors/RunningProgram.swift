import Glibc

/// The file that starts this program again.
package enum RunningProgram {
  /// The path in `LASP_PROGRAM`, where a script stands before the program, as in a bundle; else the program's own file,
  /// by its path, so that other hosts find it too, and the process keeps its name.
  package static var path: String {
    if let script = getenv("LASP_PROGRAM") { return String(cString: script) }
    let link = "/proc/self/exe"
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) {
      let path = $0.baseAddress!
      let length = readlink(link, path, $0.count - 1)
      guard length > 0 else { return link }
      path[length] = 0
      return String(cString: path)
    }
  }
}
