import Tensors

/// Numbers kept within a cap, `y = c tanh(x / c)`, and the twin.
///
/// - Source: Bello et al. (arXiv 1611.09940), section 3; of logits: Gemma 2 (2408.00118).
package enum SoftCap {
  /// `y_i = c tanh(x_i / c)`; `y` may be `x`.
  package static func forward(
    _ x: UnsafePointer<Float>, cap: Float, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = cap * VectorMath.tanh(x[i] / cap) }
  }

  /// `dx_i (+)= dy_i (1 − (y_i / c)²)`; `dx` may be `dy`.
  package static func backward(
    _ y: UnsafePointer<Float>, cap: Float, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let share = y[i] / cap
      let d = dy[i] * (1 - share) * (1 + share)
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
