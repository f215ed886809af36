import Glibc

/// The monotonic clock.
public enum Clock {
  /// Nanoseconds since an arbitrary start.
  public static var nanoseconds: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Seconds since an arbitrary start.
  public static var seconds: Double { Double(nanoseconds) * 1e-9 }
}
