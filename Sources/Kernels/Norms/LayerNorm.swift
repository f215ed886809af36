/// Layer normalisation of rows, or of each head of a row, with or without a weight and a bias, and its twin.
///
/// Concretely: `y = (x − mean(x)) · rsqrt(var(x) + eps) ⊙ w + b`, mean and variance of `width` numbers; weight and bias
/// have a number for each column of a row.
///
/// - Source: "Layer Normalization" (arXiv 1607.06450); over heads it is "Group Normalization" (1803.08494).
package struct LayerNorm: Sendable {
  /// Numbers of a row.
  package let columns: Int
  /// Numbers that are normalised together.
  package let width: Int
  /// Added to the variance.
  package let epsilon: Float

  /// A norm of rows of `columns` numbers.
  ///
  /// - Parameter width: How many numbers are normalised together; a divisor of `columns`.
  package init(columns: Int, width: Int, epsilon: Float) {
    precondition(width > 0 && columns % width == 0, "rows of \(columns) in parts of \(width)")
    (self.columns, self.width, self.epsilon) = (columns, width, epsilon)
  }

  /// Parts of a row.
  package var heads: Int { columns / width }

  /// Normalises rows.
  ///
  /// - Parameters:
  ///   - weight: Shape `[columns]`, or nil for none; `bias` likewise.
  ///   - statistics: Receives the mean and `rsqrt(var(x) + eps)` of each part, shape `[rows, heads, 2]`.
  package func forward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, bias: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, statistics: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    let n = width
    for part in rows.lowerBound * heads..<rows.upperBound * heads {
      let (x, y, column) = (x + part * n, y + part * n, part % heads * n)
      let mean = Reduction.sum(x, n) / Float(n)
      for i in 0..<n { y[i] = x[i] - mean }
      let r = 1 / (Reduction.dot(y, y, n) / Float(n) + epsilon).squareRoot()
      (statistics[2 * part], statistics[2 * part + 1]) = (mean, r)
      switch (weight.map { $0 + column }, bias.map { $0 + column }) {
      case (let w?, let b?): for i in 0..<n { y[i] = b[i].addingProduct(y[i] * r, w[i]) }
      case (let w?, nil): for i in 0..<n { y[i] = y[i] * r * w[i] }
      case (nil, let b?): for i in 0..<n { y[i] = b[i].addingProduct(y[i], r) }
      case (nil, nil): for i in 0..<n { y[i] *= r }
      }
    }
  }

  /// Writes `x − mean` of rows, which `backward` takes in the place of `x`: the means are 0 from then on.
  ///
  /// - Parameter statistics: As `forward` wrote them.
  package func center(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    statistics: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    let n = width
    for part in rows.lowerBound * heads..<rows.upperBound * heads {
      let (x, y, mean) = (x + part * n, y + part * n, statistics[2 * part])
      for i in 0..<n { y[i] = x[i] - mean }
      statistics[2 * part] = 0
    }
  }

  /// With `x̂ = (x − mean) r`: `dx (+)= r (dy ⊙ w − mean(dy ⊙ w) − x̂ mean(dy ⊙ w ⊙ x̂))`, `dw += Σ_rows dy ⊙ x̂`,
  /// `db += Σ_rows dy`.
  ///
  /// - Parameters:
  ///   - dWeight: Receives the weight's gradient where it is wanted; `dBias` likewise.
  ///   - scratch: Room for `2 · width` numbers.
  package func backward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?, statistics: UnsafePointer<Float>,
    _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    dWeight: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
    scratch: UnsafeMutablePointer<Float>, rows: Range<Int>, accumulate: Bool
  ) {
    let n = width
    let (normal, product) = (scratch, scratch + n)
    for part in rows.lowerBound * heads..<rows.upperBound * heads {
      let (x, dy, dx) = (x + part * n, dy + part * n, dx + part * n)
      let column = part % heads * n
      let (mean, r) = (statistics[2 * part], statistics[2 * part + 1])
      for i in 0..<n { normal[i] = (x[i] - mean) * r }
      var g = dy
      if let w = weight.map({ $0 + column }) {
        for i in 0..<n { product[i] = dy[i] * w[i] }
        g = UnsafePointer(product)
      }
      if let dw = dWeight.map({ $0 + column }) {
        for i in 0..<n { dw[i] = dw[i].addingProduct(dy[i], normal[i]) }
      }
      if let db = dBias.map({ $0 + column }) {
        for i in 0..<n { db[i] += dy[i] }
      }
      let own = -Reduction.sum(g, n) / Float(n)
      let along = -Reduction.dot(g, normal, n) / Float(n)
      if accumulate {
        for i in 0..<n {
          dx[i] = dx[i].addingProduct(r, (g[i] + own).addingProduct(normal[i], along))
        }
      } else {
        for i in 0..<n { dx[i] = r * (g[i] + own).addingProduct(normal[i], along) }
      }
    }
  }
}
