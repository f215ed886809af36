/// A number of each column added to every row, and the twin of what is added.
package enum RowShift {
  /// `y[n, i] = x[n, i] + b[i]`.
  package static func forward(
    _ x: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    rows: Range<Int>, columns: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * columns, y + row * columns)
      for i in 0..<columns { y[i] = x[i] + bias[i] }
    }
  }

  /// `db[i] += Σ_n dy[n, i]`.
  package static func biasBackward(
    _ dy: UnsafePointer<Float>, into sums: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns: Int
  ) {
    for row in rows {
      let dy = dy + row * columns
      for i in 0..<columns { sums[i] += dy[i] }
    }
  }
}
