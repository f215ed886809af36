/// `y = max(x, 0)²` and its twin.
///
/// - Source: "Primer" (arXiv 2109.08668).
package enum SquaredReLU {
  /// `y_i = max(x_i, 0)²`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] > 0 ? x[i] * x[i] : 0 }
  }

  /// `dx_i (+)= 2 x_i dy_i` where `x_i > 0`.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = x[i] > 0 ? 2 * x[i] * dy[i] : 0
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
