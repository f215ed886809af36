/// How far rows are from what they should be: `Σ_c (y_c − t_c)²` of each, and its gradient.
package enum SquaredDifference {
  /// Adds `factor · Σ_c (y_c − t_c)²` to each row's loss, and gives `2 factor (y − t)` where that is wanted.
  ///
  /// - Parameters:
  ///   - losses: A number a row, added to; sums of a row are formed in Double.
  ///   - dy: Written, of the shape of `y`; nil for none.
  package static func add(
    _ y: UnsafePointer<Float>, _ t: UnsafePointer<Float>, factor: Double, columns: Int,
    rows: Range<Int>, losses: UnsafeMutablePointer<Double>, dy: UnsafeMutablePointer<Float>?
  ) {
    let slope = Float(2 * factor)
    for row in rows {
      let at = row * columns
      var sum = 0.0
      for c in at..<at + columns {
        let difference = y[c] - t[c]
        sum += Double(difference) * Double(difference)
        dy?[c] = slope * difference
      }
      losses[row] += factor * sum
    }
  }
}
