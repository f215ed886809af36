import Foundation
import Testing

@testable import MessagePassing

@Suite struct WorldTests {
  @Test("Without a launcher the world is one rank, and MPI is not started")
  func solo() throws {
    let world = try World.start(environment: [:])
    #expect(world.communicator is SoloCommunicator)
    #expect((world.host.ranks, world.host.index) == (1, 0))
    #expect(world.host.cores >= 1 && world.host.defaultThreads == world.host.cores)
  }

  @Test(
    "A rank's threads are its share of the cores that it may use",
    arguments: [
      ([[0, 1, 2, 3]], nil, 4, 4), ([[0, 1], [0, 1]], nil, 2, 1), ([[0], [1]], nil, 2, 1),
      ([[0, 1, 2, 3], [4, 5, 6, 7]], nil, 8, 4), ([[0, 1, 2], [0, 1, 2], [0, 1, 2]], nil, 3, 1),
      ([[0, 1, 2, 3], [0, 1, 2, 3]], 3, 3, 1), ([[0, 1, 2, 3]], 2.5, 2, 2),
      ([[0, 1, 2, 3]], 0.5, 1, 1), ([[0, 1], [0, 1], [0, 1], [0, 1]], nil, 2, 1),
      ([[0, 1, 2, 3], [0, 1]], nil, 4, 3),
    ] as [([[Int]], Double?, Int, Int)])
  func share(affinities: [[Int]], quota: Double?, cores: Int, threads: Int) {
    let host = Host(index: 0, cores: affinities.map { Set($0) }, quota: quota)
    #expect((host.cores, host.defaultThreads, host.ranks) == (cores, threads, affinities.count))
  }

  @Test(
    "A launcher is recognised by its variables",
    arguments: [
      (["OMPI_COMM_WORLD_SIZE": "4"], true, 4), (["PMIX_RANK": "0"], true, nil),
      (["PMI_RANK": "1", "PMI_SIZE": "2"], true, 2), (["HOME": "/root"], false, nil),
      (["SLURM_NTASKS": "8", "SLURM_PROCID": "0"], false, nil),
      (["SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "8"], true, 8),
    ] as [([String: String], Bool, Int?)])
  func launcher(environment: [String: String], isPresent: Bool, ranks: Int?) {
    let launcher = Launcher(environment: environment)
    #expect(launcher.isPresent == isPresent && launcher.ranks?.count == ranks)
  }

  @Test("Ranks that were started together but are worlds of their own are told so")
  func wrongLauncher() {
    let launcher = Launcher(environment: ["PMI_SIZE": "4"])
    #expect(launcher.complaint(worldSize: 4) == nil)
    #expect(launcher.complaint(worldSize: 1)!.contains("PMI_SIZE says that 4 processes"))
    #expect(Launcher(environment: ["PMI_SIZE": "1"]).complaint(worldSize: 1) == nil)
  }

  @Test("An error ends the program with one line that names rank and host")
  func fails() async {
    let result = await #expect(
      processExitsWith: .exitCode(3), observing: [\.standardErrorContent]
    ) {
      let world = try World.start(environment: [:])
      world.fail(MessagePassingError.grid("this is wrong; do that"), code: 3)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.hasSuffix("rank 0 (\(Host.name)): this is wrong; do that\n"))
  }

  @Test("A CPU quota is the least of the control groups that hold the process")
  func quota() throws {
    let root = NSTemporaryDirectory() + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: root) }
    func write(_ text: String, to path: String) throws {
      let url = URL(fileURLWithPath: root + path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: url, atomically: true, encoding: .utf8)
    }
    #expect(CPUQuota.current(root: root) == nil)
    try write("0::/a/b\n", to: "/proc/self/cgroup")
    try write("max 100000\n", to: "/sys/fs/cgroup/a/b/cpu.max")
    #expect(CPUQuota.current(root: root) == nil)
    try write("250000 100000\n", to: "/sys/fs/cgroup/a/cpu.max")
    #expect(CPUQuota.current(root: root) == 2.5)
    try write("4:cpu,cpuacct:/c\n3:memory:/c\n", to: "/proc/self/cgroup")
    try write("-1\n", to: "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us")
    try write("100000\n", to: "/sys/fs/cgroup/cpu/c/cpu.cfs_period_us")
    #expect(CPUQuota.current(root: root) == nil)
    try write("150000\n", to: "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us")
    #expect(CPUQuota.current(root: root) == 1.5)
  }

  @Test("The affinity is at least one processor, and cores are no more than processors")
  func affinity() {
    let allowed = Affinity.allowed()
    #expect(!allowed.isEmpty && (1...allowed.count).contains(Affinity.cores(of: allowed).count))
  }
}
