/// Products in fp32 by OpenBLAS, of the weights as they are.
package struct OpenBLASProducts: MatrixProducts {
  package init() {}

  package var operands: Operand.Kind { .float }

  package func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, for direction: ProductDirection,
    in workspace: Workspace
  ) -> Buffer? { nil }

  package func output(
    _ x: Operand, _ weight: WeightMatrix, into y: Operand, count: Int, beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    BLAS.multiply(
      x.floats, lda: input, weight.values, transposeB: true, ldb: input, into: y.floats, ldc: out,
      m: count, n: out, k: input, beta: beta)
  }

  package func inputGradient(
    _ dy: Operand, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>, count: Int,
    beta: Float
  ) {
    let (out, input) = (weight.rows, weight.columns)
    BLAS.multiply(
      dy.floats, lda: out, weight.values, ldb: input, into: dx, ldc: input,
      m: count, n: input, k: out, beta: beta)
  }

  package func addWeightGradient(
    _ dy: Operand, _ x: Operand, to dW: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
    count: Int
  ) {
    BLAS.multiply(
      dy.floats, transposeA: true, lda: rows, x.floats, ldb: columns, into: dW, ldc: columns,
      m: rows, n: columns, k: count, beta: 1)
  }
}
