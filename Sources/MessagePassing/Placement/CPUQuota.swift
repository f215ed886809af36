/// How much processor time the control group of a process allows.
enum CPUQuota {
  /// The quota in processors, the least of this process's groups; none if there is no limit.
  ///
  /// - Parameter root: Where the system's files are, for tests.
  static func current(root: String = "") -> Double? {
    let groups = readSystemFile("\(root)/proc/self/cgroup") ?? ""
    var quotas: [Double] = []
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[1].isEmpty {
        quotas += ancestors(of: String(fields[2])).compactMap {
          version2("\(root)/sys/fs/cgroup\($0)")
        }
      } else if fields[1].split(separator: ",").contains("cpu") {
        quotas += ancestors(of: String(fields[2])).compactMap {
          version1("\(root)/sys/fs/cgroup/cpu\($0)")
            ?? version1("\(root)/sys/fs/cgroup/\(fields[1])\($0)")
        }
      }
    }
    return quotas.min()
  }

  /// `/a/b`, `/a` and the root.
  private static func ancestors(of path: String) -> [String] {
    let parts = path.split(separator: "/")
    return (0...parts.count).map { count in parts.prefix(count).map { "/\($0)" }.joined() }
  }

  private static func version2(_ folder: String) -> Double? {
    guard let fields = readSystemFile("\(folder)/cpu.max")?.split(separator: " "),
      fields.count == 2,
      let quota = Double(fields[0]), let period = Double(fields[1]), period > 0
    else { return nil }
    return quota / period
  }

  private static func version1(_ folder: String) -> Double? {
    guard let quota = readSystemFile("\(folder)/cpu.cfs_quota_us").flatMap({ Double($0) }),
      quota > 0,
      let period = readSystemFile("\(folder)/cpu.cfs_period_us").flatMap({ Double($0) }), period > 0
    else { return nil }
    return quota / period
  }
}
