import Tensors

/// A SwiGLU's gate for a row with a weight: `y = w silu(a) ⊙ b`, and its twin.
package enum WeightedSwiGLU {
  /// `y_i = w a_i σ(a_i) b_i`.
  package static func forward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, weight: Float,
    into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = weight * (a[i] * VectorMath.sigmoid(a[i]) * b[i]) }
  }

  /// Writes both sides' gradients, and gives the weight's.
  package static func backward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, weight: Float,
    _ dy: UnsafePointer<Float>, da: UnsafeMutablePointer<Float>, db: UnsafeMutablePointer<Float>,
    count: Int
  ) -> Float {
    var sums = Lanes.zero
    /// Both gradients of some numbers; the weight's is summed.
    @inline(__always)
    func gradients(_ a: Lanes, _ b: Lanes, _ dy: Lanes) -> (da: Lanes, db: Lanes) {
      let s = Lanes.sigmoid(a)
      let gate = a * s
      sums.addProduct(dy * gate, b)
      let d = weight * dy
      return (d * b * s * Lanes(repeating: 1).addingProduct(a, 1 - s), d * gate)
    }
    var i = 0
    while i + Lanes.width <= count {
      let d = gradients(.load(a + i), .load(b + i), .load(dy + i))
      d.da.store(da + i)
      d.db.store(db + i)
      i += Lanes.width
    }
    if i < count {
      let rest = count - i
      let d = gradients(
        .load(a + i, count: rest), .load(b + i, count: rest), .load(dy + i, count: rest))
      d.da.store(da + i, count: rest)
      d.db.store(db + i, count: rest)
    }
    return sums.sum()
  }
}
