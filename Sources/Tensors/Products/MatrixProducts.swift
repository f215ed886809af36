/// Which of a weight's products is meant.
package enum ProductDirection: Int, CaseIterable, Sendable {
  /// `y = x Wᵀ`.
  case output
  /// `dx = dy W`.
  case inputGradient
}

/// A weight as the products of one direction read it.
package struct WeightMatrix {
  /// Its numbers, `[rows, columns]`, row-major.
  package let values: UnsafePointer<Float>
  /// What its products made of them, or nil where they read the numbers themselves.
  package let form: Buffer?
  /// The direction that the form is for.
  package let direction: ProductDirection
  /// Numbers of an output.
  package let rows: Int
  /// Numbers of an input.
  package let columns: Int

  package init(
    _ values: UnsafePointer<Float>, form: Buffer? = nil, for direction: ProductDirection,
    rows: Int, columns: Int
  ) {
    (self.values, self.form, self.direction) = (values, form, direction)
    (self.rows, self.columns) = (rows, columns)
  }
}

/// Which library computes the products of activations and weights, and in which precision.
///
/// Ops ask the one of their workspace. Sums and gradients are fp32 in each.
package protocol MatrixProducts: Sendable {
  /// What numbers products read of activations and gradients; `Workspace.operand` makes them.
  var operands: Operand.Kind { get }
  /// What products of a direction read instead of a weight's numbers, such as those in another precision or
  /// layout; nil where they read the numbers.
  ///
  /// It is made at the first such product with the weight in an acquired region, and dropped when the region is
  /// released. Its memory comes from the workspace's pool, its computation through `workspace.compute`, outside any other.
  func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, for direction: ProductDirection,
    in workspace: Workspace
  ) -> Buffer?
  /// `y ← x Wᵀ + beta · y`; `x` is `[count, columns]`, `y` `[count, rows]`, `beta` 0 or 1, 0 where `y` is bf16.
  func output(_ x: Operand, _ weight: WeightMatrix, into y: Operand, count: Int, beta: Float)
  /// `dx ← dy W + beta · dx`; shapes as those of `output`.
  func inputGradient(
    _ dy: Operand, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>, count: Int,
    beta: Float)
  /// `dW ← dW + dyᵀ x`; `dW` is `[rows, columns]`.
  func addWeightGradient(
    _ dy: Operand, _ x: Operand, to dW: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
    count: Int)
}
