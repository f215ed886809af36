import Glibc

/// The machine that this rank runs on, and its share of it.
public struct Host: Sendable {
  /// The machine's name.
  public let name = Host.name
  /// How many ranks of the world run on this machine.
  public let ranks: Int
  /// This rank's number among them.
  public let index: Int
  /// How many cores this rank and its neighbours may use.
  ///
  /// They are those that the affinity allows, and no more than the CPU quota of the control group. Two
  /// hardware threads of a core count as one.
  public let cores: Int

  /// Looks at this machine.
  public init(ranks: Int, index: Int) {
    (self.ranks, self.index) = (ranks, index)
    let allowed = Affinity.cores(of: Affinity.allowed())
    let quota = CPUQuota.current().map { max(1, Int($0)) } ?? allowed
    cores = max(1, min(allowed, quota))
  }

  /// Threads a rank should use: its share of the cores, and at least one.
  public var defaultThreads: Int { max(1, cores / ranks) }

  static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// Prints a line to the standard error output, at once.
func printFailure(_ line: String) {
  fflush(nil)
  let text = line + "\n"
  _ = text.withCString { write(STDERR_FILENO, $0, text.utf8.count) }
}
