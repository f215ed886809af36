import Foundation
import Testing

@testable import MessagePassing

@Suite("What the kernel tells of processors")
struct PressureTests {
  /// A folder with files of the system's.
  private func root(_ files: [String: String]) throws -> String {
    let root = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    for (name, text) in files {
      let url = URL(fileURLWithPath: "\(root)/\(name)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    return root
  }

  private func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  /// What is counted after the files have changed.
  private func change(
    _ root: String, _ reader: inout ProcessorPressure.Reader
  ) throws -> ProcessorPressure {
    while true { if let next = reader.next() { return next } }
  }

  @Test("Groups of the second kind: throttled time of the worst, and the innermost's queue")
  func second() throws {
    let root = try root([
      "proc/self/cgroup": "0::/job/step\n", "proc/loadavg": "3.50 1 1 4/100 9\n",
      "sys/fs/cgroup/job/cpu.stat": "usage_usec 5\nthrottled_usec 1000000\n",
      "sys/fs/cgroup/job/step/cpu.stat": "usage_usec 5\nthrottled_usec 0\n",
      "sys/fs/cgroup/job/step/cpu.pressure": "some avg10=0 avg60=0 avg300=0 total=2000000\n",
      "proc/pressure/cpu": "some avg10=0 avg60=0 avg300=0 total=9\n",
    ])
    defer { try? FileManager.default.removeItem(atPath: root) }
    var reader = ProcessorPressure.Reader(root: root)
    try write("throttled_usec 3500000\n", root + "/sys/fs/cgroup/job/cpu.stat")
    try write(
      "some avg10=0 avg60=0 avg300=0 total=2500000\n",
      root + "/sys/fs/cgroup/job/step/cpu.pressure")
    #expect(
      try change(root, &reader)
        == ProcessorPressure(throttledSeconds: 2.5, waitingSeconds: 0.5, load: 3.5))
    #expect(reader.next() == nil)
  }

  @Test("Groups of the first kind, whose times are in nanoseconds, and the host's queue")
  func first() throws {
    let root = try root([
      "proc/self/cgroup": "3:cpu,cpuacct:/job\n", "proc/loadavg": "1.00 1 1 4/100 9\n",
      "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat": "nr_throttled 1\nthrottled_time 1000000000\n",
      "proc/pressure/cpu": "some avg10=0 avg60=0 avg300=0 total=0\n",
    ])
    defer { try? FileManager.default.removeItem(atPath: root) }
    var reader = ProcessorPressure.Reader(root: root)
    try write(
      "throttled_time 4000000000\n", root + "/sys/fs/cgroup/cpu,cpuacct/job/cpu.stat")
    #expect(
      try change(root, &reader)
        == ProcessorPressure(throttledSeconds: 3, waitingSeconds: 0, load: 1))
  }

  @Test("Where the kernel tells nothing, nothing is found")
  func nothing() throws {
    let root = try root([:])
    var reader = ProcessorPressure.Reader(root: root)
    #expect(try change(root, &reader) == ProcessorPressure())
  }

  @Test("The memories of a machine, by what the kernel tells")
  func topology() throws {
    let node = "sys/devices/system/node/node"
    let root = try root([
      node + "0/cpulist": "0-2,8\n", node + "0/meminfo": "Node 0 MemTotal:  1024 kB\n",
      node + "1/cpulist": "3\n",
    ])
    defer { try? FileManager.default.removeItem(atPath: root) }
    let found = Topology.byKernel(root: root)
    #expect(found.nodes.map(\.processors) == [[0, 1, 2, 8], [3]])
    #expect(found.nodes[0].memoryBytes == 1 << 20)
    #expect(Topology.current().nodes.reduce(0) { $0 + $1.processors.count } > 0)
  }
}
