import Kernels
import Reporting
import Tensors

/// What a thread of this machine could reach, whatever kernels OpenBLAS runs.
package struct MachinePeak: Sendable {
  /// Speed of matrix products, and of multiply-adds in registers alone, in GFLOP/s.
  package let sgemm, multiplyAdd: Double
  /// The CPU family whose kernels OpenBLAS runs.
  package let core: String

  package init(sgemm: Double, multiplyAdd: Double, core: String) {
    (self.sgemm, self.multiplyAdd, self.core) = (sgemm, multiplyAdd, core)
  }

  /// Measures both on this thread, while it has a core.
  ///
  /// - Parameter seconds: How long the products run.
  package static func measure(seconds: Double) -> MachinePeak {
    MachinePeak(
      sgemm: ProductPeak.measure(seconds: seconds), multiplyAdd: MultiplyAddPeak.measure(),
      core: BLAS.coreName)
  }

  /// Share of the multiply-adds' speed below which products are not those of the right kernels, which reach three quarters and more.
  private static let least = 0.6

  /// Whether OpenBLAS runs other kernels than it should.
  package var isSlow: Bool { sgemm < Self.least * multiplyAdd }

  /// What speeds are compared with, in GFLOP/s.
  package var gigaflops: Double { isSlow ? multiplyAdd : sgemm }

  /// What is wrong and what to do; nil where nothing is.
  package var complaint: String? {
    guard isSlow else { return nil }
    return
      "OpenBLAS runs \(core) kernels, \(Format.digits(sgemm)) of \(Format.digits(multiplyAdd)) GFLOP/s; "
      + "remove OPENBLAS_CORETYPE from the environment, or set it to what this CPU has (Haswell, Zen, SkylakeX), or take a newer OpenBLAS"
  }
}
