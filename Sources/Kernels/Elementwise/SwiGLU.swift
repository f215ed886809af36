import Tensors

/// The gate of a SwiGLU: `y = silu(a) ⊙ b`, and its twin.
package enum SwiGLU {
  /// `y_i = a_i σ(a_i) b_i`.
  package static func forward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    for i in 0..<count { y[i] = a[i] * VectorMath.sigmoid(a[i]) * b[i] }
  }

  /// Writes both sides' gradients.
  package static func backward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    da: UnsafeMutablePointer<Float>, db: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count {
      let s = VectorMath.sigmoid(a[i])
      db[i] = dy[i] * a[i] * s
      da[i] = dy[i] * b[i] * s * Float(1).addingProduct(a[i], 1 - s)
    }
  }
}
