/// Each head's numbers times a number of its own from data, and its twin.
///
/// Heads of `x` may be fewer: each then serves `share` neighbouring heads of `s` and of the result.
package enum HeadProduct {
  /// `y_i = s x_i` of some heads, one after another, `width` numbers each.
  package static func forward(
    _ x: UnsafePointer<Float>, _ s: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    heads: Range<Int>, share: Int = 1, width: Int
  ) {
    for head in heads {
      let (from, to, factor) = (x + head / share * width, y + head * width, s[head])
      for i in 0..<width { to[i] = factor * from[i] }
    }
  }

  /// `dx_i (+)= s dy_i`, summed over the heads that share it.
  package static func backward(
    _ s: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    heads: Range<Int>, share: Int = 1, width: Int, accumulate: Bool
  ) {
    for head in heads {
      let (from, to, factor) = (dy + head * width, dx + head / share * width, s[head])
      if accumulate || head % share != 0 {
        for i in 0..<width { to[i] += factor * from[i] }
      } else {
        for i in 0..<width { to[i] = factor * from[i] }
      }
    }
  }

  /// `ds (+)= Σ_i x_i dy_i`.
  package static func factorBackward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into ds: UnsafeMutablePointer<Float>,
    heads: Range<Int>, share: Int = 1, width: Int, accumulate: Bool
  ) {
    for head in heads {
      let sum = Reduction.dot(x + head / share * width, dy + head * width, width)
      ds[head] = accumulate ? ds[head] + sum : sum
    }
  }
}
