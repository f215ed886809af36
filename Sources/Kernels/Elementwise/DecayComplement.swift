import Tensors

/// What a decay takes away, `y = 1 − e^g` of a log decay `g ≤ 0`, without loss where it is small; and its twin.
package enum DecayComplement {
  /// `y_i = 1 − e^{g_i}`.
  package static func forward(
    _ g: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = -VectorMath.expm1(g[i]) }
  }

  /// `dg_i (+)= −dy_i e^{g_i}`.
  package static func backward(
    _ g: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dg: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = -dy[i] * VectorMath.exp(g[i])
      dg[i] = accumulate ? dg[i] + d : d
    }
  }
}
