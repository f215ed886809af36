import Faults
import Glibc

/// What the system must let a process have before it can be a rank: libraries that get less fail in ways of their own, or wait
/// for more without end.
package enum ProcessLimits {
  /// Bytes of addresses that MPI takes of a process when it starts, and this program beside it.
  static let bytesOfStart = 250 << 20
  /// Bytes of addresses that a thread takes: OpenBLAS's buffer and its own heap.
  static let bytesOfThread = 160 << 20
  /// Files and sockets that a rank has open.
  static let files = 64

  /// Bytes of addresses that this process may still take; nil where `ulimit -v` sets no limit.
  static var addressesLeft: Int? {
    guard let limit = limit(RLIMIT_AS),
      let pages = readSystemFile("/proc/self/statm")?.split(separator: " ").first.flatMap({
        Int($0)
      })
    else { return nil }
    return max(0, limit - pages * Int(getpagesize()))
  }

  /// Ends a process that cannot become a rank, with a sentence and code 7.
  static func checkStart(isFirstOfHost: Bool) {
    guard
      let complaint = complaint(
        addresses: addressesLeft, needed: bytesOfStart + bytesOfThread, files: filesAllowed)
    else { return }
    // One speaks for all of a host, unless it alone has what it needs.
    if !isFirstOfHost { sleep(5) }
    LastWords.end(exhausted: complaint)
  }

  /// Why threads cannot compute; nil where they can.
  package static func complaint(threads: Int) -> String? {
    let (needed, isTooMuch) = bytesOfThread.multipliedReportingOverflow(by: threads)
    return complaint(addresses: addressesLeft, needed: isTooMuch ? .max : needed, files: nil)
  }

  /// Why a process that may take these is no rank.
  static func complaint(addresses: Int?, needed: Int, files: Int?) -> String? {
    if let addresses, addresses < needed {
      return
        "ulimit -v leaves a rank \(addresses >> 20) MiB of addresses, and its libraries and threads take \(needed >> 20) MiB beside "
        + "its model: raise that limit, or limit a control group's memory instead"
    }
    if let files, files < Self.files {
      return
        "ulimit -n lets a rank open \(files) files, and it needs \(Self.files): raise that limit"
    }
    return nil
  }

  /// The number of files that may be open, once it has been raised as far as the system lets a user.
  private static var filesAllowed: Int? {
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limits = rlimit()
    guard getrlimit(kind, &limits) == 0, limits.rlim_cur < files else { return nil }
    limits.rlim_cur = min(limits.rlim_max, 1024)
    setrlimit(kind, &limits)
    return limit(RLIMIT_NOFILE)
  }

  /// A limit; nil for none.
  private static func limit(_ kind: __rlimit_resource) -> Int? {
    var limits = rlimit()
    guard getrlimit(__rlimit_resource_t(kind.rawValue), &limits) == 0 else { return nil }
    return Int(exactly: limits.rlim_cur)
  }
}
