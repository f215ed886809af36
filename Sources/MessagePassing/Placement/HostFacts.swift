import COpenMPI
import Foundation

/// What a rank can tell of its machine and of its place there without measuring anything.
package struct HostFacts: Sendable, Codable, Equatable {
  /// The machine's name.
  package var host = ""
  /// The rank's number in the world.
  package var rank = 0
  /// Threads with which it computes.
  package var threads = 1
  /// Processors that the rank may run on, and the cores that they belong to.
  package var processors: [Int] = [], cores: [Int] = []
  /// Processors of the machine.
  package var machineProcessors = 0
  /// Processors' worth of time that the control group has; nil for no limit.
  package var quota: Double?
  /// Which processors are near which memory.
  package var topology = Topology(nodes: [], source: "/sys")
  /// Processes that run or want to, on the average of a minute.
  package var load = 0.0
  /// Threads that run or want to just now, this one among them: the fewest of a few looks.
  package var running = 0
  /// The CPU's name, and which of the instructions that matter here it has.
  package var cpu = "", instructions: [String] = []
  /// Bytes of shared memory in all, and of these free; nil where there is none.
  package var sharedMemoryBytes, sharedMemoryFree: Int?
  /// How clocks are set, such as `powersave`, their greatest frequency and what they run at, in MHz; nil where the kernel does not
  /// tell.
  package var governor: String?, greatestMHz: Double?, currentMHz: Double?
  /// Share of the processors' time since the machine began that its hypervisor gave to others.
  package var stolen = 0.0
  /// The program's build, and the MPI that it runs with.
  package var build = "", mpi = ""
  /// The CPU family whose kernels OpenBLAS runs.
  package var kernels = ""
  /// What sees other sockets or another kernel: machines of one name differ in it.
  package var identity = ""

  package init() {}

  /// This rank's, without what the caller knows: rank, threads, build and kernels.
  ///
  /// - Parameter deep: Whether hwloc is asked, which takes some tens of milliseconds.
  package static func here(deep: Bool) -> HostFacts {
    var facts = HostFacts()
    let allowed = Affinity.allowed()
    (facts.host, facts.identity) = (Host.name, Host.identity)
    (facts.processors, facts.cores) = (allowed.sorted(), Affinity.cores(of: allowed).sorted())
    facts.machineProcessors = ProcessInfo.processInfo.processorCount
    facts.quota = CPUQuota.current()
    facts.topology = deep ? Topology.current() : Topology.byKernel()
    let looks = (0..<3).compactMap { look -> (load: Double, running: Int)? in
      if look > 0 { usleep(1000) }
      let fields = readSystemFile("/proc/loadavg")?.split(separator: " ") ?? []
      guard fields.count > 3, let load = Double(fields[0]),
        let running = Int(fields[3].prefix { $0 != "/" })
      else { return nil }
      return (load, running)
    }
    facts.load = looks.first?.load ?? 0
    facts.running = looks.map(\.running).min() ?? 0
    let cpu = readSystemFile("/proc/cpuinfo")?.split(separator: "\n") ?? []
    func field(_ name: String) -> Substring? {
      cpu.first { $0.hasPrefix(name) }?.split(separator: ":", maxSplits: 1).last
    }
    facts.cpu = field("model name").map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
    let flags = Set(field("flags")?.split(separator: " ").map(String.init) ?? [])
    facts.instructions = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"].filter(flags.contains)
    var system = statvfs()
    if statvfs("/dev/shm", &system) == 0 {
      facts.sharedMemoryBytes = Int(system.f_blocks) * Int(system.f_frsize)
      facts.sharedMemoryFree = Int(system.f_bavail) * Int(system.f_frsize)
    }
    let clocks = "/sys/devices/system/cpu/cpu\(allowed.min() ?? 0)/cpufreq/"
    facts.governor = readSystemFile(clocks + "scaling_governor")
    func megahertz(_ name: String) -> Double? {
      readSystemFile(clocks + name).flatMap { Double($0) }.map { $0 / 1000 }
    }
    facts.greatestMHz = megahertz("cpuinfo_max_freq")
    facts.currentMHz = megahertz("scaling_cur_freq")
    let times =
      readSystemFile("/proc/stat")?.split(separator: "\n").first?.split(separator: " ")
      .dropFirst().compactMap { Double($0) } ?? []
    if times.count > 7, times[..<8].reduce(0, +) > 0 {
      facts.stolen = times[7] / times[..<8].reduce(0, +)
    }
    facts.mpi = MPIRelease.library
    return facts
  }
}
