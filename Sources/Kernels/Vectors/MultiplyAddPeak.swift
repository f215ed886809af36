import Measurement

/// How fast one thread multiplies and adds by this program's own tiles of small matrices: nearly all that the instructions which it is
/// built for give, whatever kernels a library has chosen.
package enum MultiplyAddPeak {
  private static let size = 64

  /// The speed while the thread has a core, in GFLOP/s, the best of some short runs.
  package static func measure() -> Double {
    let count = size * size
    let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 3 * count)
    defer { numbers.deallocate() }
    numbers.initialize(repeating: 0.5, count: 3 * count)
    let products = 64
    var best = 0.0
    for _ in 0..<8 {
      let start = Clock.threadSeconds
      for _ in 0..<products {
        SmallMatrix.multiply(
          numbers, lda: size, numbers + count, ldb: size, into: numbers + 2 * count, ldc: size,
          rows: size, columns: size, inner: size)
      }
      let seconds = max(Clock.threadSeconds - start, 1e-9)
      best = max(best, 2e-9 * Double(products * count * size) / seconds)
    }
    return best
  }
}
