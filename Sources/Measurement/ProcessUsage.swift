import Glibc

/// What the kernel has counted of this process since it began.
package struct ProcessUsage: Sendable {
  /// Seconds that its threads together have had a core.
  package let processorSeconds: Double
  /// How often a thread was taken off its core for another.
  package let involuntarySwitches: Int
  /// Pages that it touched for the first time, and those that had to be read from a disk.
  package let minorFaults, majorFaults: Int
  /// The most resident bytes.
  package let peakMemoryBytes: Int

  /// What was added since, and the most resident bytes of all time.
  package static func - (now: ProcessUsage, before: ProcessUsage) -> ProcessUsage {
    ProcessUsage(
      processorSeconds: now.processorSeconds - before.processorSeconds,
      involuntarySwitches: now.involuntarySwitches - before.involuntarySwitches,
      minorFaults: now.minorFaults - before.minorFaults,
      majorFaults: now.majorFaults - before.majorFaults, peakMemoryBytes: now.peakMemoryBytes)
  }

  /// The counts now.
  package static var now: ProcessUsage {
    var usage = rusage()
    getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return ProcessUsage(
      processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
      involuntarySwitches: usage.ru_nivcsw, minorFaults: usage.ru_minflt,
      majorFaults: usage.ru_majflt, peakMemoryBytes: usage.ru_maxrss * 1024)
  }
}
