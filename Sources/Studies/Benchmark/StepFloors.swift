import Foundation
import Kernels
import Measurement
import Reporting
import Synchronization
import Tensors

/// How little time the parts of a step could take: what they must compute and move, by what the machine reaches meanwhile.
struct StepFloors {
  private let workspace: Workspace
  private var products: ProductPeak
  private var sgemm: ProductPeak
  private var bandwidths: [Double] = []

  init(_ workspace: Workspace) {
    self.workspace = workspace
    products = ProductPeak(workspace.productSettings ?? .plain)
    sgemm = ProductPeak()
  }

  /// Measures the machine once, between steps.
  mutating func measure() {
    for _ in 0..<4 { sgemm.run() }
    for _ in 0..<4 { products.run() }
    let sum = Mutex(0.0)
    workspace.team.workers { _ in
      let bandwidth = MemoryBandwidth.measure()
      sum.withLock { $0 += bandwidth }
    }
    bandwidths.append(sum.withLock { $0 })
  }

  /// GFLOP/s of a thread by OpenBLAS in fp32.
  var sgemmPeak: Double { sgemm.gigaflops }
  /// GFLOP/s of a thread by the run's own products.
  var productPeak: Double { products.gigaflops }
  /// GB/s of all threads together.
  var bandwidth: Double { bandwidths.median * 1e-9 }

  /// Seconds of a part's work at least, and what they go to; nil where nothing says what its work is.
  func floor(_ part: TimeCategory) -> (seconds: Double, of: String)? {
    let counters = workspace.counters
    var work = counters.work[part.rawValue]
    if part == .attention { work.operations += counters.attentionOperations }
    let threads = Double(workspace.team.size)
    let computing =
      (work.productOperations / productPeak + work.operations / sgemmPeak) * 1e-9 / threads
    let moving = work.bytes / bandwidth * 1e-9
    guard max(computing, moving) > 0 else { return nil }
    return computing > moving ? (computing, "operations") : (moving, "bytes")
  }
}
