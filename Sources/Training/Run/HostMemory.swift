import Foundation
import Reporting

/// Memory that is left for the ranks of a host.
package struct HostMemory: Equatable {
  /// Bytes.
  package var bytes: Int
  /// What sets the limit, as a sentence names it.
  package var limit: String

  /// What is left now: of the machine's memory, of each control group that this process is in, and of its own limit, the
  /// least.
  ///
  /// - Parameters:
  ///   - processes: Processes of this host that share it, of which each has a limit of its own.
  ///   - root: Where the system's files are, for tests.
  /// - Returns: Nil where nothing can be told.
  package static func left(processes: Int, root: String = "") -> HostMemory? {
    var found: [HostMemory] = []
    if let bytes = field("MemAvailable:", of: "\(root)/proc/meminfo") {
      found.append(HostMemory(bytes: bytes * 1024, limit: "of the host's memory"))
    }
    for line in lines("\(root)/proc/self/cgroup") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isSecond = fields[1].isEmpty
      guard isSecond || fields[1].split(separator: ",").contains("memory") else { continue }
      for path in ancestors(of: String(fields[2])) {
        let folder = "\(root)/sys/fs/cgroup" + (isSecond ? "" : "/memory") + path
        if let bytes = isSecond ? second(folder) : first(folder) {
          found.append(
            HostMemory(bytes: bytes, limit: "of the control group's limit (\(folder))"))
        }
      }
    }
    if let limit = lines("\(root)/proc/self/limits").first(where: { $0.hasPrefix("Max address") }),
      let bytes = limit.split(separator: " ").compactMap({ Int($0) }).first,
      let used = field("VmSize:", of: "\(root)/proc/self/status")
    {
      found.append(
        HostMemory(
          bytes: max(0, bytes - used * 1024) * processes, limit: "of the limit of ulimit -v"))
    }
    return found.min { $0.bytes < $1.bytes }
  }

  /// `memory.max` of a group of the second kind, less what it uses and could not give back.
  private static func second(_ folder: String) -> Int? {
    guard let limit = lines("\(folder)/memory.max").first.flatMap({ Int($0) }),
      let used = lines("\(folder)/memory.current").first.flatMap({ Int($0) })
    else { return nil }
    let files = field("inactive_file", of: "\(folder)/memory.stat") ?? 0
    return max(0, limit - max(0, used - files))
  }

  /// The same of the first kind, whose limit is a huge number where there is none.
  private static func first(_ folder: String) -> Int? {
    guard let limit = lines("\(folder)/memory.limit_in_bytes").first.flatMap({ Int($0) }),
      limit < 1 << 60,
      let used = lines("\(folder)/memory.usage_in_bytes").first.flatMap({ Int($0) })
    else { return nil }
    let files = field("total_inactive_file", of: "\(folder)/memory.stat") ?? 0
    return max(0, limit - max(0, used - files))
  }

  private static func ancestors(of path: String) -> [String] {
    let parts = path.split(separator: "/")
    return (0...parts.count).map { count in parts.prefix(count).map { "/\($0)" }.joined() }
  }

  private static func lines(_ path: String) -> [Substring] {
    ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
  }

  private static func field(_ name: String, of path: String) -> Int? {
    for line in lines(path) where line.hasPrefix(name) {
      return line.split(separator: " ").dropFirst().compactMap { Int($0) }.first
        ?? line.split(separator: "\t").dropFirst().compactMap { Int($0) }.first
    }
    return nil
  }
}

/// A run needs more memory than its host has left: it is refused before its first step.
struct MemoryShortage: ErrorWithExitReason, CustomStringConvertible {
  let host: String
  let ranks: Int
  /// Bytes that a rank needs.
  let bytes: Int
  let left: HostMemory

  var exitReason: ExitReason { .resources }

  var description: String {
    let all = Format.bytes(bytes * ranks)
    let needs = ranks == 1 ? all : "\(all) (\(ranks) ranks × \(Format.bytes(bytes)))"
    return
      "the run needs \(needs) on \(host), and \(Format.bytes(left.bytes)) \(left.limit) are left; more hosts, "
      + "parallel.sharding, training.recompute, sequence.segments or training.accumulation make it need less, which "
      + "--dry-run tells, and --force tries it all the same"
  }

  /// Refuses a run that cannot fit.
  ///
  /// - Parameters:
  ///   - bytes: What a rank adds to what it has now.
  ///   - ranks: Processes of this host, whether they are one rank or several.
  static func check(
    bytes: Int, ranks: Int, host: String, left: HostMemory?
  ) throws(MemoryShortage) {
    let (needed, isTooMuch) = bytes.multipliedReportingOverflow(by: ranks)
    guard let left, isTooMuch || needed > left.bytes else { return }
    throw MemoryShortage(
      host: host, ranks: isTooMuch ? 1 : ranks, bytes: bytes, left: left)
  }
}
