/// A weight as products read it.
package struct WeightMatrix {
  /// Its numbers, `[rows, columns]`, row-major.
  package let values: UnsafePointer<Float>
  /// What its products made of them, or nil where they read the numbers themselves.
  package let form: Buffer?
  /// Numbers of an output.
  package let rows: Int
  /// Numbers of an input.
  package let columns: Int

  package init(_ values: UnsafePointer<Float>, form: Buffer? = nil, rows: Int, columns: Int) {
    (self.values, self.form, self.rows, self.columns) = (values, form, rows, columns)
  }
}

/// Which library computes the products of activations and weights, and in which precision.
///
/// Ops ask the one of their workspace. Sums, gradients and what ops keep are fp32 in each.
package protocol MatrixProducts: Sendable {
  /// What products read instead of a weight's numbers, such as those in another precision or layout; nil where
  /// they read the numbers.
  ///
  /// It is made at the first product with the weight in an acquired region, and dropped when the region is
  /// released. Its memory comes from the workspace's pool, its computation goes through `workspace.run`.
  func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, in workspace: Workspace
  ) -> Buffer?
  /// `y ← x Wᵀ + beta · y`; `x` is `[count, columns]`, `y` `[count, rows]`.
  func output(
    _ x: UnsafePointer<Float>, _ weight: WeightMatrix, into y: UnsafeMutablePointer<Float>,
    count: Int, beta: Float)
  /// `dx ← dy W + beta · dx`; shapes as those of `output`.
  func inputGradient(
    _ dy: UnsafePointer<Float>, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>,
    count: Int, beta: Float)
  /// `dW ← dW + dyᵀ x`; `dW` is `[rows, columns]`.
  func addWeightGradient(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, to dW: UnsafeMutablePointer<Float>,
    rows: Int, columns: Int, count: Int)
}

/// Products in fp32 by OpenBLAS, of the weights as they are.
package struct OpenBLASProducts: MatrixProducts {
  package init() {}

  package func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, in workspace: Workspace
  ) -> Buffer? { nil }

  package func output(
    _ x: UnsafePointer<Float>, _ weight: WeightMatrix, into y: UnsafeMutablePointer<Float>,
    count: Int, beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    BLAS.multiply(
      x, lda: input, weight.values, transposeB: true, ldb: input, into: y, ldc: out,
      m: count, n: out, k: input, beta: beta)
  }

  package func inputGradient(
    _ dy: UnsafePointer<Float>, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>,
    count: Int, beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    BLAS.multiply(
      dy, lda: out, weight.values, ldb: input, into: dx, ldc: input,
      m: count, n: input, k: out, beta: beta)
  }

  package func addWeightGradient(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, to dW: UnsafeMutablePointer<Float>,
    rows: Int, columns: Int, count: Int
  ) {
    BLAS.multiply(
      dy, transposeA: true, lda: rows, x, ldb: columns, into: dW, ldc: columns,
      m: rows, n: columns, k: count, beta: 1)
  }
}
