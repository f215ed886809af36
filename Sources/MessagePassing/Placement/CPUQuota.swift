/// How much processor time the control group of a process allows.
enum CPUQuota {
  /// The quota in processors, the least of this process's groups; none if there is no limit.
  ///
  /// - Parameter root: Where the system's files are, for tests.
  static func current(root: String = "") -> Double? {
    ControlGroup.folders(of: "cpu", root: root).compactMap {
      $0.isSecond ? version2($0.path) : version1($0.path)
    }.min()
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
