import Tensors

/// `y = max(x, 0)` and its twin.
package enum ReLU {
  /// `y_i = max(x_i, 0)`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] > 0 ? x[i] : 0 }
  }

  /// `dx_i (+)= dy_i` where `x_i > 0`.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = x[i] > 0 ? dy[i] : 0
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
