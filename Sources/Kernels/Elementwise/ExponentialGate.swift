import Tensors

/// A log decay from a projection: `g = max(−e^x, −80)`, and its twin.
///
/// - Source: RWKV-6 (arXiv 2404.05892), whose decays may leave nothing after one token; −80 is as good as nothing.
package enum ExponentialGate {
  /// The logarithm of 80.
  private static let most: Float = 4.382_026_6

  /// `g_i = max(−e^{x_i}, −80)`.
  package static func forward(
    _ x: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { g[i] = x[i] < most ? -VectorMath.exp(x[i]) : -80 }
  }

  /// `dx_i (+)= −dg_i e^{x_i}`, or 0 where the log decay was below −80.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = x[i] < most ? -dg[i] * VectorMath.exp(x[i]) : 0
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
