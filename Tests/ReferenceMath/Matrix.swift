/// A matrix of Doubles, row-major.
package struct Matrix: Equatable, Sendable {
  /// Number of rows.
  package let rows: Int
  /// Number of columns.
  package let columns: Int
  /// All elements, row by row.
  package var numbers: [Double]

  /// A matrix with the given elements, row by row.
  package init(_ rows: Int, _ columns: Int, _ numbers: [Double]) {
    precondition(
      numbers.count == rows * columns, "\(numbers.count) elements for \(rows) × \(columns)")
    (self.rows, self.columns, self.numbers) = (rows, columns, numbers)
  }

  /// A matrix whose elements are all the same.
  package init(_ rows: Int, _ columns: Int, repeating number: Double = 0) {
    self.init(rows, columns, Array(repeating: number, count: rows * columns))
  }

  /// A matrix whose elements are computed from their places.
  package init(_ rows: Int, _ columns: Int, _ element: (_ row: Int, _ column: Int) -> Double) {
    self.init(rows, columns)
    for row in 0..<rows {
      for column in 0..<columns { self[row, column] = element(row, column) }
    }
  }

  /// A matrix of single-precision numbers, row by row.
  package init(_ rows: Int, _ columns: Int, _ numbers: some Sequence<Float>) {
    self.init(rows, columns, numbers.map(Double.init))
  }

  /// One element.
  package subscript(row: Int, column: Int) -> Double {
    get { numbers[row * columns + column] }
    set { numbers[row * columns + column] = newValue }
  }

  /// The rows of a range.
  package func rows(_ range: Range<Int>) -> Matrix {
    Matrix(
      range.count, columns, Array(numbers[range.lowerBound * columns..<range.upperBound * columns]))
  }

  /// The matrix over `other`.
  package func above(_ other: Matrix) -> Matrix {
    precondition(columns == other.columns, "\(columns) columns above \(other.columns)")
    return Matrix(rows + other.rows, columns, numbers + other.numbers)
  }
}

/// How far single-precision numbers are from the right ones: `‖actual − expected‖ / ‖expected‖` (L2).
///
/// Expected numbers below 10⁻²⁰ altogether count as 10⁻²⁰: their products leave the range of single precision.
/// A number that is not finite makes it infinite.
///
/// - Parameter least: The norm that the error is relative to where `expected` has less.
package func relativeError(
  _ actual: some Collection<Float>, _ expected: [Double], normAtLeast least: Double = 0
) -> Double {
  precondition(
    actual.count == expected.count, "\(actual.count) numbers compared with \(expected.count)")
  var (difference, norm) = (0.0, 0.0)
  for (a, e) in zip(actual, expected) {
    difference += (Double(a) - e) * (Double(a) - e)
    norm += e * e
  }
  let error = difference.squareRoot() / max(norm.squareRoot(), least, 1e-20)
  return error.isFinite ? error : .infinity
}
