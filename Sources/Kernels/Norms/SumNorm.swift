/// Each row over its sum: `y = x / (Σ x + eps)`, and its twin.
package enum SumNorm {
  /// Divides rows of `columns` numbers.
  ///
  /// - Parameter inverse: Receives each row's `1 / (Σ x + eps)`.
  package static func forward(
    _ x: UnsafePointer<Float>, epsilon: Float = 0, into y: UnsafeMutablePointer<Float>,
    inverse: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      let sum = Reduction.sum(x, n) + epsilon
      inverse[row] = 1 / sum
      for i in 0..<n { y[i] = x[i] / sum }
    }
  }

  /// `dx (+)= (dy − dy·y) / (Σ x + eps)`.
  package static func backward(
    _ y: UnsafePointer<Float>, inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (y, dy, dx) = (y + row * n, dy + row * n, dx + row * n)
      let c = Reduction.dot(dy, y, n)
      for i in 0..<n {
        let d = (dy[i] - c) * inverse[row]
        dx[i] = accumulate ? dx[i] + d : d
      }
    }
  }
}
