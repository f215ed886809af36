import Tensors

/// A log decay from a projection: `g = max(log σ(x) / divisor, least)`, and its twin.
///
/// - Source: Gated Linear Attention (arXiv 2312.06635), section 4.4, where the divisor is 16.
package struct LogSigmoidGate: Sendable {
  /// What the logarithm is divided by.
  package let divisor: Float
  /// The least log decay; −∞ for none.
  package let least: Float

  /// A gate; its log decays are not below `least`.
  package init(divisor: Float, least: Float = -.infinity) {
    (self.divisor, self.least) = (divisor, least)
  }

  /// `g_i = max(log σ(x_i) / divisor, least)`.
  package func forward(
    _ x: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>, count: Int
  ) {
    let (factor, least) = (1 / divisor, least)
    for i in 0..<count {
      let value = VectorMath.logSigmoid(x[i]) * factor
      g[i] = value < least ? least : value
    }
  }

  /// `dx_i (+)= dg_i σ(−x_i) / divisor`, or 0 where the log decay was below `least`.
  package func backward(
    _ x: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    let (factor, least) = (1 / divisor, least)
    for i in 0..<count {
      let isCut = VectorMath.logSigmoid(x[i]) * factor < least
      let d = isCut ? 0 : dg[i] * VectorMath.sigmoid(-x[i]) * factor
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
