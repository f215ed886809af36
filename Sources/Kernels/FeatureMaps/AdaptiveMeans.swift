/// Means of neighbouring parts of a row, as many as are asked for, and their twin.
///
/// Concretely: the i-th of `count` parts of `n` numbers is those from `⌊i n / count⌋` to before `⌈(i + 1) n / count⌉`;
/// parts overlap where `count` does not divide `n`.
package enum AdaptiveMeans {
  private static func part(_ i: Int, of n: Int, _ count: Int) -> Range<Int> {
    i * n / count..<((i + 1) * n + count - 1) / count
  }

  /// Maps rows of `columns` numbers to rows of `count`.
  package static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int, count: Int
  ) {
    for row in rows {
      let (x, y) = (x + row * n, y + row * count)
      for i in 0..<count {
        let part = part(i, of: n, count)
        y[i] = Reduction.sum(x + part.lowerBound, part.count) / Float(part.count)
      }
    }
  }

  /// `dx_j (+)= Σ_i dy_i / |part i|` over the parts that `j` is in.
  package static func backward(
    _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int, count: Int, accumulate: Bool
  ) {
    for row in rows {
      let (dy, dx) = (dy + row * count, dx + row * n)
      if !accumulate { dx.update(repeating: 0, count: n) }
      for i in 0..<count {
        let part = part(i, of: n, count)
        let d = dy[i] / Float(part.count)
        for j in part { dx[j] += d }
      }
    }
  }
}
