/// Rows times a weight and plus a bias, `y = x ⊙ w + b`, and its twin.
package enum Affine {
  /// Maps rows of `columns` numbers.
  ///
  /// - Parameter weight: Shape `[columns]`, or nil for ones; `bias` likewise, nil for zeros.
  package static func forward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, bias: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      switch (weight, bias) {
      case (let w?, let b?): for i in 0..<n { y[i] = b[i].addingProduct(x[i], w[i]) }
      case (let w?, nil): for i in 0..<n { y[i] = x[i] * w[i] }
      case (nil, let b?): for i in 0..<n { y[i] = x[i] + b[i] }
      case (nil, nil): for i in 0..<n { y[i] = x[i] }
      }
    }
  }

  /// `dx (+)= dy ⊙ w`, where it is wanted; `dw += Σ_rows dy ⊙ x`, `db += Σ_rows dy`.
  package static func backward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>?, dWeight: UnsafeMutablePointer<Float>,
    dBias: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (x, dy) = (x + row * n, dy + row * n)
      for i in 0..<n {
        dWeight[i] = dWeight[i].addingProduct(dy[i], x[i])
        dBias[i] += dy[i]
      }
      guard let dx = dx.map({ $0 + row * n }) else { continue }
      for i in 0..<n {
        let d = weight.map { dy[i] * $0[i] } ?? dy[i]
        dx[i] = accumulate ? dx[i] + d : d
      }
    }
  }
}
