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
    var sums = SIMD16<Float>.zero
    var dWeight: Float = 0
    // The sum has lanes of its own, so that the loop is as wide as without it.
    var i = 0
    while i + 16 <= count {
      for lane in 0..<16 {
        let at = i + lane
        let s = VectorMath.sigmoid(a[at])
        let gate = a[at] * s
        sums[lane] = sums[lane].addingProduct(dy[at] * gate, b[at])
        let d = weight * dy[at]
        db[at] = d * gate
        da[at] = d * b[at] * s * Float(1).addingProduct(a[at], 1 - s)
      }
      i += 16
    }
    while i < count {
      let s = VectorMath.sigmoid(a[i])
      let gate = a[i] * s
      dWeight = dWeight.addingProduct(dy[i] * gate, b[i])
      let d = weight * dy[i]
      db[i] = d * gate
      da[i] = d * b[i] * s * Float(1).addingProduct(a[i], 1 - s)
      i += 1
    }
    return dWeight + sums.sum()
  }
}
