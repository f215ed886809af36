import Foundation

/// The memory of this process as the kernel counts it.
package enum ProcessMemory {
  /// The most resident bytes so far (`VmHWM`).
  package static var peakBytes: Int { status("VmHWM:") }

  /// Resident bytes now (`VmRSS`).
  package static var residentBytes: Int { status("VmRSS:") }

  private static func status(_ key: String) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      return 0
    }
    let line = text.split(separator: "\n").first { $0.hasPrefix(key) }
    let kibibytes = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
    return (kibibytes.flatMap { Int($0) } ?? 0) * 1024
  }
}
