import Tensors

/// `y = x·σ(x)` and its twin.
package enum SiLU {
  /// `y_i = x_i σ(x_i)`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] * VectorMath.sigmoid(x[i]) }
  }

  /// `dx_i (+)= dy_i σ(x_i) (1 + x_i (1 − σ(x_i)))`.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    if accumulate {
      for i in 0..<count {
        let s = VectorMath.sigmoid(x[i])
        dx[i] += dy[i] * s * Float(1).addingProduct(x[i], 1 - s)
      }
    } else {
      for i in 0..<count {
        let s = VectorMath.sigmoid(x[i])
        dx[i] = dy[i] * s * Float(1).addingProduct(x[i], 1 - s)
      }
    }
  }
}
