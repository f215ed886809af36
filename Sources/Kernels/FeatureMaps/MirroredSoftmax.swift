import Tensors

/// The softmax of a row and its negative, `softmax([2x, −2x])`, and its twin: Hedgehog's feature map.
///
/// - Source: "The Hedgehog & the Porcupine" (arXiv 2402.04347), section 4.2.
package enum MirroredSoftmax {
  /// Maps rows of `columns` numbers to rows of twice as many.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * 2 * n)
      let (least, largest) = Reduction.extremes(x, n)
      let most = max(largest, -least)
      // Two loops, since one that writes to two places is not made of vector instructions.
      let mirrored = y + n
      for i in 0..<n { y[i] = VectorMath.exp(2 * (x[i] - most)) }
      for i in 0..<n { mirrored[i] = VectorMath.exp(-2 * (x[i] + most)) }
      let inverse = 1 / Reduction.sum(y, 2 * n)
      for i in 0..<2 * n { y[i] *= inverse }
    }
  }

  /// `dx_i (+)= 2 (dz_i − dz_{n+i})` with `dz = y ⊙ (dy − y·dy)`.
  package static func backward(
    _ y: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (y, dy, dx) = (y + row * 2 * n, dy + row * 2 * n, dx + row * n)
      let c = Reduction.dot(y, dy, 2 * n)
      let (mirrored, dMirrored) = (y + n, dy + n)
      if accumulate {
        for i in 0..<n { dx[i] += 2 * (y[i] * (dy[i] - c) - mirrored[i] * (dMirrored[i] - c)) }
      } else {
        for i in 0..<n { dx[i] = 2 * (y[i] * (dy[i] - c) - mirrored[i] * (dMirrored[i] - c)) }
      }
    }
  }
}
