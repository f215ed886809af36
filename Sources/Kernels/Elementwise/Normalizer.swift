/// The quotient of a head's numerator and the denominator that stands after it.
///
/// A recurrence that ends the quotient's work by itself puts both together (`DiagonalRecurrence`'s normaliser); here they were
/// summed from several parts before.
package enum Normalizer {
  /// `y ← N / (d + ε)` of rows `[N, d]`, with `N` of `columns` numbers.
  ///
  /// - Parameter inverse: Receives each row's `1 / (d + ε)`.
  package static func divide(
    _ x: UnsafePointer<Float>, epsilon: Float, into y: UnsafeMutablePointer<Float>,
    inverse: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int
  ) {
    for row in rows {
      let from = x + row * (n + 1)
      inverse[row] = 1 / (from[n] + epsilon)
      Rows.scale(
        from, stride: n, rows: 1, columns: n, by: inverse + row, into: y + row * n, ld: n)
    }
  }

  /// `dN (+)= dy / (d + ε)` and `dd (+)= −(dy · y) / (d + ε)`.
  package static func divideBackward(
    _ y: UnsafePointer<Float>, inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (from, to) = (dy + row * n, dx + row * (n + 1))
      let last = -Rows.dot(from, y + row * n, count: n) * inverse[row]
      if accumulate {
        Rows.addScaled(from, by: inverse[row], count: n, into: to)
        to[n] += last
      } else {
        Rows.scale(from, stride: n, rows: 1, columns: n, by: inverse + row, into: to, ld: n)
        to[n] = last
      }
    }
  }
}
