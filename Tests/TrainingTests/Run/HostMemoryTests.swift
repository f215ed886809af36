import Foundation
import TemporaryFolders
import Testing

@testable import Training

/// What is left for a run, and a run that does not fit.
@Suite("A host's memory")
struct HostMemoryTests {
  /// Makes the system's files in a folder.
  private func left(_ files: [String: String], processes: Int = 1) throws -> HostMemory? {
    let temporary = try TemporaryFolder()
    defer { withExtendedLifetime(temporary) {} }
    let root = temporary.path
    for (path, text) in files {
      let url = URL(fileURLWithPath: root + path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    var left = HostMemory.left(processes: processes, root: root)
    if let limit = left?.limit { left?.limit = limit.replacingOccurrences(of: root, with: "") }
    return left
  }

  private let host = ["/proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:  8000 kB\n"]

  @Test("It is what the kernel calls available")
  func available() throws {
    #expect(
      try left(host) == HostMemory(bytes: 8000 * 1024, limit: "of the host's memory"))
    #expect(try left([:]) == nil)
  }

  @Test("A control group's limit, less what it cannot give back, is less; so is one above it")
  func group() throws {
    var files = host
    files["/proc/self/cgroup"] = "0::/a/b\n"
    files["/sys/fs/cgroup/a/memory.max"] = "1000000\n"
    files["/sys/fs/cgroup/a/memory.current"] = "700000\n"
    files["/sys/fs/cgroup/a/memory.stat"] = "anon 1\ninactive_file 200000\n"
    files["/sys/fs/cgroup/a/b/memory.max"] = "max\n"
    files["/sys/fs/cgroup/a/b/memory.current"] = "10\n"
    #expect(
      try left(files)
        == HostMemory(bytes: 500_000, limit: "of the control group's limit (/sys/fs/cgroup/a)"))
  }

  @Test("Control groups of the first kind have theirs")
  func former() throws {
    var files = host
    files["/proc/self/cgroup"] = "4:memory:/job\n3:cpu:/job\n"
    files["/sys/fs/cgroup/memory/job/memory.limit_in_bytes"] = "3000\n"
    files["/sys/fs/cgroup/memory/job/memory.usage_in_bytes"] = "1000\n"
    #expect(
      try left(files)
        == HostMemory(
          bytes: 2000, limit: "of the control group's limit (/sys/fs/cgroup/memory/job)"))
  }

  @Test("Each process has what ulimit -v leaves it")
  func limit() throws {
    var files = host
    files["/proc/self/limits"] =
      "Max address space         2000000              3000000              bytes\n"
    files["/proc/self/status"] = "VmPeak:\t 9999 kB\nVmSize:\t    1000 kB\n"
    #expect(
      try left(files, processes: 2)
        == HostMemory(bytes: 2 * (2_000_000 - 1_024_000), limit: "of the limit of ulimit -v"))
    files["/proc/self/limits"] =
      "Max address space         unlimited            unlimited            bytes\n"
    #expect(try left(files)?.limit == "of the host's memory")
  }

  @Test("A run that cannot fit is refused with what it needs, what is left and what helps")
  func refusal() throws {
    let left = HostMemory(bytes: 3 << 30, limit: "of the host's memory")
    func check(_ bytes: Int, ranks: Int) throws {
      try MemoryShortage.check(bytes: bytes, ranks: ranks, host: "node7", left: left)
    }
    #expect(throws: Never.self) { try check(1 << 30, ranks: 3) }
    let error = try #require(throws: MemoryShortage.self) { try check(1 << 30, ranks: 4) }
    #expect(
      "\(error)".hasPrefix(
        "the run needs 4.00 GiB (4 ranks × 1.00 GiB) on node7, and 3.00 GiB of the host's memory are left; "
      ))
    #expect(ExitReason(error) == .resources)
    #expect(throws: MemoryShortage.self) { try check(1 << 62, ranks: 4) }
  }
}
