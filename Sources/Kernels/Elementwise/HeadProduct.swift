/// Each head's numbers times a number of its own from data, and its twin.
package enum HeadProduct {
  /// `y_i = s x_i` of some heads, one after another, `width` numbers each.
  package static func forward(
    _ x: UnsafePointer<Float>, _ s: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    heads: Range<Int>, width: Int
  ) {
    for head in heads {
      let (from, to, factor) = (x + head * width, y + head * width, s[head])
      for i in 0..<width { to[i] = factor * from[i] }
    }
  }

  /// `dx_i (+)= s dy_i`.
  package static func backward(
    _ s: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    heads: Range<Int>, width: Int, accumulate: Bool
  ) {
    guard accumulate else { return forward(dy, s, into: dx, heads: heads, width: width) }
    for head in heads {
      let (from, to, factor) = (dy + head * width, dx + head * width, s[head])
      for i in 0..<width { to[i] += factor * from[i] }
    }
  }

  /// `ds (+)= Σ_i x_i dy_i`.
  package static func factorBackward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into ds: UnsafeMutablePointer<Float>,
    heads: Range<Int>, width: Int, accumulate: Bool
  ) {
    for head in heads {
      let sum = Reduction.dot(x + head * width, dy + head * width, width)
      ds[head] = accumulate ? ds[head] + sum : sum
    }
  }
}
