import Tensors

/// ReGLA's feature map: each row's exponentials over their root mean square, and its twin.
///
/// Concretely: `y = e^{x−m} / √(mean e^{2(x−m)})`, where m, the row's largest number, cancels and only keeps the
/// exponentials in range.
///
/// - Source: ReGLA (arXiv 2502.01578), section 3.1.
package enum NormalizedExponential {
  /// Maps rows of `columns` numbers.
  ///
  /// - Parameter inverse: Receives each row's `1 / √(mean e^{2(x−m)})`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    inverse: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      var most = x[0]
      for i in 1..<max(n, 1) { most = x[i] > most ? x[i] : most }
      for i in 0..<n { y[i] = VectorMath.exp(x[i] - most) }
      let r = 1 / (Reduction.dot(y, y, n) / Float(n)).squareRoot()
      inverse[row] = r
      for i in 0..<n { y[i] *= r }
    }
  }

  /// `dx (+)= y ⊙ (dy − y · mean(dy ⊙ y))`.
  package static func backward(
    _ y: UnsafePointer<Float>, inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (y, dy, dx) = (y + row * n, dy + row * n, dx + row * n)
      let c = -Reduction.dot(dy, y, n) / Float(n)
      for i in 0..<n {
        let d = y[i] * dy[i].addingProduct(y[i], c)
        dx[i] = accumulate ? dx[i] + d : d
      }
    }
  }
}
