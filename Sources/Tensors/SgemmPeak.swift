import Measurement

/// How fast OpenBLAS multiplies matrices on one thread, now: what other speeds are compared with.
///
/// Concretely: the median speed of square products, 1024³ unless said otherwise, each timed by
/// itself. They may be run one at a time between other work, so that both meet the same machine.
package struct SgemmPeak {
  private let size: Int
  private let matrices: [Tensor]
  private var seconds: [Double] = []

  /// Makes the matrices, 4 MiB each at the usual size, and runs one product that is not counted.
  package init(size: Int = 1024) {
    self.size = size
    let pool = BufferPool()
    matrices = (0..<3).map { _ in Tensor([size, size], pool: pool) }
    for matrix in matrices { matrix.pointer.update(repeating: 1, count: matrix.count) }
    multiply()
  }

  /// Runs and times one product.
  package mutating func run() {
    let start = Clock.seconds
    multiply()
    seconds.append(Clock.seconds - start)
  }

  /// Runs one product and counts only the time for which this thread had a core.
  private mutating func runOnThreadTime() {
    let start = Clock.threadSeconds
    multiply()
    seconds.append(Clock.threadSeconds - start)
  }

  /// The median speed of the products so far, in GFLOP/s.
  package var gigaflops: Double {
    precondition(!seconds.isEmpty, "no product was run")
    let sorted = seconds.sorted()
    let middle = sorted.count / 2
    let median =
      sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    return 2 * Double(size * size * size) / median * 1e-9
  }

  /// The speed that one thread reaches while it has a core, in GFLOP/s, from products run for about
  /// as long as given.
  ///
  /// Other ranks that share the core, waiting for this one, do not make the figure smaller.
  package static func measure(seconds: Double) -> Double {
    var peak = SgemmPeak()
    let end = Clock.seconds + seconds
    repeat { peak.runOnThreadTime() } while Clock.seconds < end
    return peak.gigaflops
  }

  /// The speed of one thread by the clock, in GFLOP/s, with all that takes its core away.
  package static func measureByClock(seconds: Double) -> Double {
    var peak = SgemmPeak()
    let end = Clock.seconds + seconds
    repeat { peak.run() } while Clock.seconds < end
    return peak.gigaflops
  }

  private func multiply() {
    let threads = BLAS.threads
    if threads != 1 { BLAS.setThreads(1) }
    BLAS.multiply(
      matrices[0].pointer, lda: size, matrices[1].pointer, ldb: size, into: matrices[2].pointer,
      ldc: size, m: size, n: size, k: size)
    if threads != 1 { BLAS.setThreads(threads) }
  }
}
