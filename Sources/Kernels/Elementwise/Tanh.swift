import Tensors

/// The hyperbolic tangent and its twin.
package enum Tanh {
  /// `y_i = tanh(x_i)`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = VectorMath.tanh(x[i]) }
  }

  /// `dx_i (+)= dy_i / cosh²(x_i)`, without loss where the tangent is near 1.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let e = VectorMath.exp(-2 * x[i].magnitude)
      let d = dy[i] * (4 * e / ((1 + e) * (1 + e)))
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
