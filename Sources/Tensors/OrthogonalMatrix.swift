/// A random matrix whose rows, or columns where they are fewer, are orthogonal and of length 1.
///
/// The vectors are drawn normal and made orthogonal one after another, twice for the last digits.
struct OrthogonalMatrix {
  private let rows, columns: Int
  /// The orthogonal vectors, one after another.
  private let vectors: [Double]

  /// Draws a matrix.
  ///
  /// - Parameter normal: The normal number at an index, row by row.
  init(rows: Int, columns: Int, normal: (Int) -> Double) {
    (self.rows, self.columns) = (rows, columns)
    let (count, length) = (min(rows, columns), max(rows, columns))
    var all = (0..<count * length).map { index in
      let (vector, element) = (index / length, index % length)
      return normal(rows <= columns ? vector * columns + element : element * columns + vector)
    }
    all.withUnsafeMutableBufferPointer { all in
      for i in 0..<count {
        let own = all.baseAddress! + i * length
        for _ in 0..<2 {
          for j in 0..<i {
            let other = all.baseAddress! + j * length
            let dot = Self.dot(own, other, length)
            for x in 0..<length { own[x] -= dot * other[x] }
          }
          let inverse = 1 / Self.dot(own, own, length).squareRoot()
          for x in 0..<length { own[x] *= inverse }
        }
      }
    }
    vectors = all
  }

  /// The number at an index, row by row.
  subscript(index: Int) -> Double {
    let (row, column) = (index / columns, index % columns)
    return rows <= columns ? vectors[row * columns + column] : vectors[column * rows + row]
  }

  private static func dot(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ count: Int
  ) -> Double {
    var lanes = SIMD4<Double>()
    let whole = count / 4 * 4
    for x in stride(from: 0, to: whole, by: 4) {
      lanes += SIMD4(a[x], a[x + 1], a[x + 2], a[x + 3]) * SIMD4(b[x], b[x + 1], b[x + 2], b[x + 3])
    }
    return (whole..<count).reduce(lanes.sum()) { $0 + a[$1] * b[$1] }
  }
}
