/// A matrix that remembers how it was computed, so that gradients can go back.
///
/// The whole of this module is the float64 reference that the program is compared with: one token after
/// another, no chunk, no rank, nothing clever. Rows are tokens, columns are channels.
package final class Term {
  /// The numbers.
  package let matrix: Matrix
  /// The sum of the gradients that have arrived.
  package internal(set) var gradient: Matrix
  private let inputs: [Term]
  private let propagate: (Term) -> Void

  /// A value that is given: a weight, an input or a constant.
  package convenience init(_ matrix: Matrix) { self.init(matrix, of: []) { _ in } }

  /// A value that is computed.
  ///
  /// - Parameters:
  ///   - inputs: What it is computed of.
  ///   - propagate: Adds to the inputs' gradients what follows from the value's own.
  init(_ matrix: Matrix, of inputs: [Term], propagate: @escaping (Term) -> Void) {
    self.matrix = matrix
    self.inputs = inputs
    self.propagate = propagate
    gradient = Matrix(matrix.rows, matrix.columns)
  }

  /// Number of rows.
  package var rows: Int { matrix.rows }
  /// Number of columns.
  package var columns: Int { matrix.columns }

  /// Adds to everything that this value depends on the gradient of `Σ value ⊙ seed`.
  ///
  /// Call it once on a graph: gradients that have arrived earlier would be passed on again.
  package func backward(_ seed: Matrix) {
    precondition(
      (seed.rows, seed.columns) == (rows, columns),
      "a gradient \(seed.rows) × \(seed.columns) of a value \(rows) × \(columns)")
    var order: [Term] = []
    var seen: Set<ObjectIdentifier> = []
    func visit(_ value: Term) {
      guard seen.insert(ObjectIdentifier(value)).inserted else { return }
      value.inputs.forEach(visit)
      order.append(value)
    }
    visit(self)
    gradient = seed
    for value in order.reversed() { value.propagate(value) }
  }

  /// Adds to everything that this number depends on its gradient.
  package func backward() { backward(Matrix(1, 1, repeating: 1)) }
}
