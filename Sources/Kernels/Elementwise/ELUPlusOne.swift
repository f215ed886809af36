import Tensors

/// `y = elu(x) + 1`, which is positive everywhere, and its twin.
package enum ELUPlusOne {
  /// `y_i = x_i + 1` above 0, else `e^{x_i}`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] > 0 ? x[i] + 1 : VectorMath.exp(x[i]) }
  }

  /// `dx_i (+)= dy_i` above 0, else `dy_i e^{x_i}`.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = x[i] > 0 ? dy[i] : dy[i] * VectorMath.exp(x[i])
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
