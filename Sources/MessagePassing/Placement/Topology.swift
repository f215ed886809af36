import Foundation

#if LASP_HWLOC
  import CHwloc
#endif

/// Which processors of a machine are near which memory.
package struct Topology: Sendable, Codable, Equatable {
  /// Processors with memory of their own.
  package struct Node: Sendable, Codable, Equatable {
    /// Their numbers.
    package let processors: [Int]
    /// Bytes of the memory; 0 where they are not known.
    package let memoryBytes: Int

    package init(processors: [Int], memoryBytes: Int = 0) {
      (self.processors, self.memoryBytes) = (processors, memoryBytes)
    }
  }

  /// The nodes, in their order.
  package let nodes: [Node]
  /// What told them: `hwloc` or `/sys`.
  package let source: String

  package init(nodes: [Node], source: String) { (self.nodes, self.source) = (nodes, source) }

  /// This machine's, by hwloc where the program is built with it, else by what the kernel tells.
  package static func current() -> Topology {
    #if LASP_HWLOC
      if let found = byHwloc() { return found }
    #endif
    return byKernel()
  }

  #if LASP_HWLOC
    private static func byHwloc() -> Topology? {
      guard let topology = lasp_hwloc_load() else { return nil }
      defer { lasp_hwloc_free(topology) }
      let nodes = (0..<max(0, lasp_hwloc_nodes(topology))).map { node in
        var processors: [Int] = []
        var next = lasp_hwloc_next(topology, node, -1)
        while next >= 0, processors.count < 1 << 16 {
          processors.append(Int(next))
          next = lasp_hwloc_next(topology, node, next)
        }
        return Node(
          processors: processors, memoryBytes: Int(clamping: lasp_hwloc_memory(topology, node)))
      }
      return nodes.isEmpty ? nil : Topology(nodes: nodes, source: "hwloc")
    }
  #endif

  /// What `/sys/devices/system/node` tells.
  ///
  /// - Parameter root: Where the system's files are, for tests.
  static func byKernel(root: String = "") -> Topology {
    let folder = "\(root)/sys/devices/system/node"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let numbers = names.compactMap { name in
      name.hasPrefix("node") ? Int(name.dropFirst(4)) : nil
    }.sorted()
    let nodes = numbers.compactMap { number -> Node? in
      guard let list = readSystemFile("\(folder)/node\(number)/cpulist") else { return nil }
      let total = readSystemFile("\(folder)/node\(number)/meminfo")?.split(separator: "\n")
        .first { $0.contains("MemTotal:") }?.split(separator: " ").compactMap { Int($0) }.last
      return Node(processors: processors(of: list), memoryBytes: (total ?? 0) * 1024)
    }
    return Topology(nodes: nodes, source: "/sys")
  }

  /// The numbers of a list such as `0-3,8`.
  static func processors(of list: String) -> [Int] {
    list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { return [] }
      return Array(first...last)
    }
  }
}
