/// Each row over its Euclidean length: `y = x · rsqrt(Σ x² + eps)`, and its twin.
package enum L2Norm {
  /// Normalises rows of `columns` numbers.
  ///
  /// - Parameter inverse: Receives each row's `rsqrt(Σ x² + eps)`.
  package static func forward(
    _ x: UnsafePointer<Float>, epsilon: Float, into y: UnsafeMutablePointer<Float>,
    inverse: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      let r = 1 / (Reduction.dot(x, x, n) + epsilon).squareRoot()
      inverse[row] = r
      for i in 0..<n { y[i] = x[i] * r }
    }
  }

  /// `dx (+)= r (dy − y · (dy·y))`.
  package static func backward(
    _ y: UnsafePointer<Float>, inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (y, dy, dx) = (y + row * n, dy + row * n, dx + row * n)
      let r = inverse[row]
      let c = -Reduction.dot(dy, y, n) * r
      for i in 0..<n {
        let d = (dy[i] * r).addingProduct(y[i], c)
        dx[i] = accumulate ? dx[i] + d : d
      }
    }
  }
}
