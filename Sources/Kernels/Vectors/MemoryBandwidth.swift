import Foundation

/// How fast one thread moves numbers between memory and its registers.
package enum MemoryBandwidth {
  /// Bytes a second of `c ← a + f b`, over arrays that no cache holds: two are read, and one is written past the caches.
  ///
  /// - Parameter count: Floats of each array.
  package static func measure(count: Int = 1 << 24) -> Double {
    func array() -> UnsafeMutablePointer<Float> {
      let raw = UnsafeMutableRawPointer.allocate(byteCount: 4 * count, alignment: 64)
      let numbers = raw.bindMemory(to: Float.self, capacity: count)
      numbers.update(repeating: 1, count: count)
      return numbers
    }
    let (a, b, c) = (array(), array(), array())
    defer { for numbers in [a, b, c] { numbers.deallocate() } }
    let start = seconds()
    let factor = Lanes(repeating: 0.5)
    var i = 0
    while i &+ Lanes.width <= count {
      Lanes.load(a + i).addingProduct(factor, Lanes.load(b + i)).stream(c + i)
      i &+= Lanes.width
    }
    return Double(3 * 4 * count) / (seconds() - start)
  }

  /// Seconds that this thread has computed.
  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
