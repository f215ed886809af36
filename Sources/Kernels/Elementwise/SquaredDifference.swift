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
      let (y, t) = (y + row * columns, t + row * columns)
      losses[row] += factor * sum(y, t, columns)
      guard let dy = dy.map({ $0 + row * columns }) else { continue }
      for c in 0..<columns { dy[c] = slope * (y[c] - t[c]) }
    }
  }

  /// `Σ_c (y_c − t_c)²`: differences in fp32, their squares in Double.
  private static func sum(
    _ y: UnsafePointer<Float>, _ t: UnsafePointer<Float>, _ count: Int
  ) -> Double {
    @inline(__always) func load(_ p: UnsafePointer<Float>) -> SIMD8<Float> {
      UnsafeRawPointer(p).loadUnaligned(as: SIMD8<Float>.self)
    }
    var sums = SIMD8<Double>()
    var c = 0
    while c + 8 <= count {
      let difference = SIMD8<Double>(load(y + c) - load(t + c))
      sums = sums.addingProduct(difference, difference)
      c += 8
    }
    var sum = sums.sum()
    while c < count {
      let difference = Double(y[c] - t[c])
      sum = sum.addingProduct(difference, difference)
      c += 1
    }
    return sum
  }
}
