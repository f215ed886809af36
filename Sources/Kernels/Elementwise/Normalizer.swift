/// A column of ones beside a head's values, and the quotient of what a recurrence makes of both.
///
/// Where outputs are divided by `q_t · Σ k_j`, that sum is the state's last column if every value ends with a one:
/// numerator `N` and denominator `d` then come from the same products, and round alike.
package enum Normalizer {
  /// `y ← [x, 1]` of rows of `columns` numbers.
  package static func appendOnes(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    for row in rows {
      let to = y + row * (n + 1)
      Rows.copy(x + row * n, stride: n, rows: 1, columns: n, into: to, ld: n)
      to[n] = 1
    }
  }

  /// `dx (+)= dy`, without its last column.
  package static func appendOnesBackward(
    _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (from, to) = (dy + row * (n + 1), dx + row * n)
      if accumulate {
        Rows.add(from, stride: n, rows: 1, columns: n, into: to, ld: n)
      } else {
        Rows.copy(from, stride: n, rows: 1, columns: n, into: to, ld: n)
      }
    }
  }

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
