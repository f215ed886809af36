import Measurement

/// How fast products are on one thread, now: what other speeds are compared with.
///
/// Concretely: the median speed of square products with a weight that has its form, 1024³ unless said otherwise, each timed
/// by itself. They may be run one at a time between other work, so that both meet the same machine. In fp32 by OpenBLAS it is the
/// sgemm peak.
package struct ProductPeak {
  private let size: Int
  private let workspace: Workspace
  private let rows: Operand
  private let weight: WeightMatrix
  private let result: Tensor
  /// What the weight's numbers lie in.
  private let numbers: Tensor
  private var seconds: [Double] = []

  /// Makes the matrices, 2 or 4 MiB each at the usual size, and runs one product that is not counted.
  package init(_ settings: ProductSettings = .plain, size: Int = 1024) {
    self.size = size
    workspace = Workspace(products: settings)
    let tensors = (0..<3).map { [pool = workspace.pool] _ in Tensor([size, size], pool: pool) }
    for tensor in tensors { tensor.pointer.update(repeating: 1, count: tensor.count) }
    rows = workspace.operand(of: tensors[0])
    (numbers, result) = (tensors[1], tensors[2])
    weight = WeightMatrix(
      numbers.pointer,
      form: workspace.products.form(
        of: numbers.pointer, rows: size, columns: size, for: .inputGradient, in: workspace),
      for: .inputGradient, rows: size, columns: size)
    multiply()
  }

  /// Runs and times one product.
  package mutating func run() { time { Clock.seconds } }

  private mutating func time(by clock: () -> Double) {
    let start = clock()
    multiply()
    seconds.append(clock() - start)
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
  package static func measure(_ settings: ProductSettings = .plain, seconds: Double) -> Double {
    measure(settings, seconds: seconds) { Clock.threadSeconds }
  }

  /// The speed of one thread by the clock, in GFLOP/s, with all that takes its core away.
  package static func measureByClock(seconds: Double) -> Double {
    measure(.plain, seconds: seconds) { Clock.seconds }
  }

  private static func measure(
    _ settings: ProductSettings, seconds: Double, by clock: () -> Double
  ) -> Double {
    var peak = ProductPeak(settings)
    let end = Clock.seconds + seconds
    repeat { peak.time(by: clock) } while Clock.seconds < end
    return peak.gigaflops
  }

  private func multiply() {
    let threads = BLAS.threads
    if threads != 1 { BLAS.setThreads(1) }
    workspace.products.inputGradient(rows, weight, into: result.pointer, count: size, beta: 0)
    if threads != 1 { BLAS.setThreads(threads) }
  }
}
