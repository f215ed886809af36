import COpenMPI
import Foundation

/// Which processors a process may run on.
enum Affinity {
  /// Bytes of the kernel's mask, for more processors than any machine has.
  private static let maskBytes = 1024

  /// The processors that a process may run on (0: this one); none if it cannot be told.
  static func allowed(process: pid_t = 0) -> Set<Int> {
    var mask = [UInt8](repeating: 0, count: maskBytes)
    guard lasp_get_affinity(process, &mask, UInt(maskBytes)) > 0 else { return [] }
    return Set((0..<maskBytes * 8).filter { mask[$0 / 8] & (1 << ($0 % 8)) != 0 })
  }

  /// Lets this process, and the threads that it starts, run on other processors.
  static func set(_ processors: Set<Int>) {
    var mask = [UInt8](repeating: 0, count: maskBytes)
    for processor in processors { mask[processor / 8] |= 1 << (processor % 8) }
    _ = lasp_set_affinity(0, &mask, UInt(maskBytes))
  }

  /// The cores that these processors belong to, each named by the first processor of it.
  static func cores(of processors: Set<Int>) -> Set<Int> {
    Set(
      processors.map { processor in
        let siblings = readSystemFile(
          "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list")
        return siblings.flatMap { Int($0.prefix { $0.isNumber }) } ?? processor
      })
  }

  /// Undoes the binding to a single core that Open MPI's mpirun gives to one or two ranks when nobody
  /// asked for a binding; a rank's threads would share that core.
  ///
  /// The processors are those of the launcher's process here, which are what the rank would have without
  /// binding. A binding by policy, or one that leaves the rank its share of the machine, stays.
  static func widenIfBoundByDefault(environment: [String: String]) {
    guard environment["OMPI_MCA_orte_bound_at_launch"] == "1",
      environment["OMPI_MCA_hwloc_base_binding_policy"] == nil,
      let ranks = environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap({ Int($0) }),
      let launcher = launcherProcess()
    else { return }
    let (mine, all) = (allowed(), allowed(process: launcher))
    if mine.count * ranks < all.count || mine.count == 1 { set(all) }
  }

  /// The nearest ancestor that is an MPI launcher or its daemon.
  private static func launcherProcess() -> pid_t? {
    let names: Set = ["mpirun", "mpiexec", "orterun", "orted", "prterun", "prted"]
    var process = getppid()
    while process > 1 {
      guard let status = readSystemFile("/proc/\(process)/status") else { return nil }
      let fields = status.split(separator: "\n").map { $0.split(separator: "\t") }
      let value = { (key: String) in fields.first { $0.first == "\(key):" }?.dropFirst().first }
      if let name = value("Name"), names.contains(String(name)) { return process }
      guard let parent = value("PPid").flatMap({ pid_t($0) }) else { return nil }
      process = parent
    }
    return nil
  }
}
