import Glibc

/// The machine that this rank runs on, and its share of it.
package struct Host: Sendable {
  /// The machine's name.
  package let name = Host.name
  /// How many ranks of the world run on this machine.
  package let ranks: Int
  /// This rank's number among them.
  package let index: Int
  /// How many cores the ranks of this machine have together.
  ///
  /// They are those that their affinities allow, and no more than the CPU quota of the control group. Two
  /// hardware threads of a core count as one.
  package let cores: Int
  /// Threads that a rank should use: its share of the cores, and at least one.
  package let defaultThreads: Int

  /// Looks at this machine together with the other ranks on it; collective.
  ///
  /// - Parameter neighbours: The ranks on this machine.
  init(neighbours: any Communicator) throws(MessagePassingError) {
    let cores = try neighbours.allGather(Affinity.cores(of: Affinity.allowed()).sorted())
    self.init(
      index: neighbours.rank, cores: cores.map { Set($0) }, quota: CPUQuota.current())
  }

  /// Looks at this machine as if `ranks` ranks shared what this process may use.
  package init(ranks: Int, index: Int) {
    let cores = Affinity.cores(of: Affinity.allowed())
    self.init(
      index: index, cores: Array(repeating: cores, count: ranks), quota: CPUQuota.current())
  }

  /// The share of one of several ranks.
  ///
  /// Concretely: a core that n ranks may use counts 1/n for each, and a quota is divided equally.
  ///
  /// - Parameters:
  ///   - cores: The cores that each rank may use.
  ///   - quota: Processors' worth of time that all ranks have together.
  init(index: Int, cores: [Set<Int>], quota: Double?) {
    (ranks, self.index) = (cores.count, index)
    let users = cores.reduce(into: [Int: Int]()) { users, set in
      for core in set { users[core, default: 0] += 1 }
    }
    let limit = quota ?? .infinity
    let share = cores[index].reduce(0) { $0 + 1 / Double(users[$1]!) }
    self.cores = max(1, Int(min(Double(users.count), limit)))
    // A sum of thirds may fall short of the whole by a rounding error.
    defaultThreads = max(1, Int(min(share + 1e-6, limit / Double(ranks))))
  }

  /// The share of one of several ranks that this process is divided among.
  func divided(among each: Int, index: Int) -> Host {
    Host(self, ranks: ranks * each, index: self.index * each + index)
  }

  private init(_ host: Host, ranks: Int, index: Int) {
    (self.ranks, self.index, cores) = (ranks, index, host.cores)
    defaultThreads = 1
  }

  /// What tells this machine, as processes see it, from others of the same name: a network of its own has other sockets.
  static var identity: String {
    var text = [CChar](repeating: 0, count: 256)
    let count = readlink("/proc/self/ns/net", &text, text.count - 1)
    let network = String(
      decoding: text.prefix(max(count, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    let boot = readSystemFile("/proc/sys/kernel/random/boot_id") ?? ""
    return "\(boot) \(network)"
  }

  static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
