import Glibc
import Measurement

/// What stands between the processes of a host and its processors, as the kernel counts it.
package struct ProcessorPressure: Sendable, Equatable {
  /// Seconds for which the control group was held back, since all its quota was used.
  package var throttledSeconds = 0.0
  /// Seconds in which some process of the control group, or of the host, stood in a queue for a processor; nil where the kernel
  /// does not tell.
  package var waitingSeconds: Double?
  /// Processes that run or want to, on the average of a minute.
  package var load = 0.0

  package init(throttledSeconds: Double = 0, waitingSeconds: Double? = nil, load: Double = 0) {
    (self.throttledSeconds, self.waitingSeconds, self.load) = (
      throttledSeconds, waitingSeconds, load
    )
  }

  /// Reads the files once more each time it is asked, at most every fifth of a second.
  package struct Reader {
    private let paths: (statistics: [(String, isSecond: Bool)], pressure: String?)
    private let root: String
    private var last: (pressure: ProcessorPressure, seconds: Double)

    /// Looks where the kernel tells, and begins to count.
    ///
    /// - Parameter root: Where the system's files are, for tests.
    package init(root: String = "") {
      self.root = root
      let folders = ControlGroup.folders(of: "cpu", root: root)
      let statistics = folders.map { ($0.path + "/cpu.stat", isSecond: $0.isSecond) }
        .filter { access($0.0, R_OK) == 0 }
      // The innermost group's, or that of the whole host.
      let pressure =
        (folders.filter(\.isSecond).map { $0.path + "/cpu.pressure" }.reversed()
        + ["\(root)/proc/pressure/cpu"]).first { access($0, R_OK) == 0 }
      paths = (statistics, pressure)
      last = (ProcessorPressure(), 0)
      last = (read(), Clock.seconds)
    }

    /// What was added since it was asked before; nil where that is not long ago.
    package mutating func next() -> ProcessorPressure? {
      let now = Clock.seconds
      guard now - last.seconds >= 0.2 else { return nil }
      let pressure = read()
      defer { last = (pressure, now) }
      return ProcessorPressure(
        throttledSeconds: max(0, pressure.throttledSeconds - last.pressure.throttledSeconds),
        waitingSeconds: pressure.waitingSeconds.map {
          max(0, $0 - (last.pressure.waitingSeconds ?? $0))
        },
        load: pressure.load)
    }

    private func read() -> ProcessorPressure {
      // A group around another throttles it, too.
      let throttled = paths.statistics.compactMap { path, isSecond -> Double? in
        isSecond
          ? field("throttled_usec", of: path).map { $0 * 1e-6 }
          : field("throttled_time", of: path).map { $0 * 1e-9 }
      }
      let waiting = paths.pressure.flatMap { readSystemFile($0) }?.split(separator: "\n")
        .first { $0.hasPrefix("some") }?.split(separator: " ").first { $0.hasPrefix("total=") }
        .flatMap { Double($0.dropFirst(6)) }
      let load = readSystemFile("\(root)/proc/loadavg")?.split(separator: " ").first
        .flatMap { Double($0) }
      return ProcessorPressure(
        throttledSeconds: throttled.max() ?? 0, waitingSeconds: waiting.map { $0 * 1e-6 },
        load: load ?? 0)
    }

    private func field(_ name: String, of path: String) -> Double? {
      readSystemFile(path)?.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        .flatMap { Double($0.dropFirst(name.count + 1)) }
    }
  }
}
