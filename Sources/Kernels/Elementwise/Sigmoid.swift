import Tensors

/// `y = s σ(x)` and its twin.
package enum Sigmoid {
  /// `y_i = scale · σ(x_i)`.
  package static func forward(
    _ x: UnsafePointer<Float>, scale: Float = 1, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = scale * VectorMath.sigmoid(x[i]) }
  }

  /// `dx_i (+)= dy_i y_i (1 − y_i / scale)`.
  package static func backward(
    _ y: UnsafePointer<Float>, scale: Float = 1, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, count: Int, accumulate: Bool
  ) {
    let inverse = 1 / scale
    for i in 0..<count {
      let d = dy[i] * y[i] * (1 - y[i] * inverse)
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
