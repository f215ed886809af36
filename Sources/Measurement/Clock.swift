import Glibc

/// The monotonic clock, and the calling thread's.
package enum Clock {
  /// Nanoseconds since an arbitrary start.
  package static var nanoseconds: UInt64 { read(CLOCK_MONOTONIC) }

  /// Seconds since an arbitrary start.
  package static var seconds: Double { Double(nanoseconds) * 1e-9 }

  /// Seconds that the calling thread has had a core, since an arbitrary start.
  package static var threadSeconds: Double { Double(read(CLOCK_THREAD_CPUTIME_ID)) * 1e-9 }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
