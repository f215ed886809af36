import Tensors

/// The softmax of a row, and its twin.
package enum RowSoftmax {
  /// `y = softmax(x)` of rows of `columns` numbers.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      let most = Reduction.extremes(x, n).largest
      for i in 0..<n { y[i] = VectorMath.exp(x[i] - most) }
      let inverse = 1 / Reduction.sum(y, n)
      for i in 0..<n { y[i] *= inverse }
    }
  }

  /// `dx (+)= y ⊙ (dy − y·dy)`.
  package static func backward(
    _ y: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (y, dy, dx) = (y + row * n, dy + row * n, dx + row * n)
      let c = Reduction.dot(y, dy, n)
      if accumulate {
        for i in 0..<n { dx[i] += y[i] * (dy[i] - c) }
      } else {
        for i in 0..<n { dx[i] = y[i] * (dy[i] - c) }
      }
    }
  }
}
