/// Root-mean-square normalisation of rows, with or without a weight, and its twin.
///
/// Concretely: `y = x · rsqrt(mean(x²) + eps) ⊙ w`; without a weight it is SimpleRMSNorm.
///
/// - Source: "Root Mean Square Layer Normalization" (arXiv 1910.07467); SimpleRMSNorm: arXiv 2307.14995.
package enum RMSNorm {
  /// Normalises `rows` rows of `columns` numbers.
  ///
  /// - Parameters:
  ///   - weight: Shape `[columns]`, or nil for none.
  ///   - offset: What is added to the weight: 1 where it is stored as what it differs from 1 by.
  ///   - inverse: Receives each row's `rsqrt(mean(x²) + eps)`, shape `[rows]`.
  package static func forward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, offset: Float = 0, epsilon: Float,
    into y: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * n)
      let r = 1 / (Reduction.dot(x, x, n) / Float(n) + epsilon).squareRoot()
      inverse[row] = r
      if let weight {
        for i in 0..<n { y[i] = x[i] * r * (weight[i] + offset) }
      } else {
        for i in 0..<n { y[i] = x[i] * r }
      }
    }
  }

  /// `dx (+)= r (dy ⊙ w − x · r² · mean(dy ⊙ w ⊙ x))`; `dw += Σ_rows dy ⊙ x r`.
  ///
  /// - Parameters:
  ///   - weight: The weight, its gradient, which is added to, and room for `columns` numbers; nil for none.
  ///   - offset: What is added to the weight.
  package static func backward(
    _ x: UnsafePointer<Float>,
    weight: (
      value: UnsafePointer<Float>, gradient: UnsafeMutablePointer<Float>,
      scratch: UnsafeMutablePointer<Float>
    )? = nil, offset: Float = 0, inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (x, dy, dx) = (x + row * n, dy + row * n, dx + row * n)
      let r = inverse[row]
      var g = dy
      if let (weight, dWeight, scratch) = weight {
        for i in 0..<n {
          scratch[i] = dy[i] * (weight[i] + offset)
          dWeight[i] = dWeight[i].addingProduct(dy[i], x[i] * r)
        }
        g = UnsafePointer(scratch)
      }
      let c = -Reduction.dot(g, x, n) / Float(n) * r * r * r
      if accumulate {
        for i in 0..<n { dx[i] = dx[i].addingProduct(g[i], r).addingProduct(x[i], c) }
      } else {
        for i in 0..<n { dx[i] = (g[i] * r).addingProduct(x[i], c) }
      }
    }
  }
}
