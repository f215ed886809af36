/// The control groups that this process is in.
enum ControlGroup {
  /// Folders of the groups that a controller has for this process, those around it included.
  ///
  /// - Parameters:
  ///   - controller: Its name among groups of the first kind, such as `cpu`.
  ///   - root: Where the system's files are, for tests.
  /// - Returns: The folders, the outermost first, and whether they are groups of the second kind.
  static func folders(of controller: String, root: String = "") -> [(path: String, isSecond: Bool)]
  {
    let groups = readSystemFile("\(root)/proc/self/cgroup") ?? ""
    var found: [(String, Bool)] = []
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[1].isEmpty {
        found += ancestors(of: String(fields[2])).map { ("\(root)/sys/fs/cgroup\($0)", true) }
      } else if fields[1].split(separator: ",").contains(Substring(controller)) {
        // Some systems mount controllers together under all their names.
        let names = Set([controller, String(fields[1])]).sorted()
        found += names.flatMap { name in
          ancestors(of: String(fields[2])).map { ("\(root)/sys/fs/cgroup/\(name)\($0)", false) }
        }
      }
    }
    return found
  }

  /// `/a/b`, `/a` and the root.
  private static func ancestors(of path: String) -> [String] {
    let parts = path.split(separator: "/")
    return (0...parts.count).map { count in parts.prefix(count).map { "/\($0)" }.joined() }
  }
}
