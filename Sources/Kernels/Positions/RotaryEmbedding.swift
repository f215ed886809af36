import Foundation

/// Rotary position embedding by halves, and its twin.
///
/// Concretely, for the first `r` of a head's `d` numbers, `j < r/2` and the angle `a = t ω_j` of position t:
/// `y_j = x_j cos a − x_{j+r/2} sin a`, `y_{j+r/2} = x_{j+r/2} cos a + x_j sin a`, times the frequencies' magnitude; the other
/// numbers stay.
///
/// - Source: "RoFormer" (arXiv 2104.09864).
package enum RotaryEmbedding {
  /// Cosines and sines of some tokens' positions; angles in Double, reduced modulo 2π.
  ///
  /// - Parameters:
  ///   - table: Shape `[T, r]`: the cosines of a token, then its sines. Rows of `tokens` are written.
  ///   - offset: The global position of token 0.
  package static func fillTable(
    _ table: UnsafeMutablePointer<Float>, tokens: Range<Int>, offset: Int,
    _ frequencies: RotaryFrequencies
  ) {
    let (half, magnitude) = (frequencies.radians.count, frequencies.magnitude)
    for token in tokens {
      let (row, t) = (table + token * 2 * half, Double(offset + token))
      for j in 0..<half {
        let angle = (t * frequencies.radians[j]).remainder(dividingBy: 2 * .pi)
        row[j] = Float(cos(angle) * magnitude)
        row[half + j] = Float(sin(angle) * magnitude)
      }
    }
  }

  /// Rotates some tokens of one row of the shard.
  ///
  /// - Parameters:
  ///   - x: Shape `[T, H·d]`.
  ///   - table: Shape `[T, r]`.
  ///   - y: Shape `[T, H·d]`, of which `tokens` are written.
  ///   - r: How many numbers of a head turn; even.
  package static func forward(
    _ x: UnsafePointer<Float>, table: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    tokens: Range<Int>, heads: Int, dimension d: Int, rotated r: Int
  ) {
    let half = r / 2
    for token in tokens {
      let (cosine, sine) = (table + token * r, table + token * r + half)
      for head in 0..<heads {
        let (x, y) = (x + (token * heads + head) * d, y + (token * heads + head) * d)
        var j = 0
        while j &+ Lanes.width <= half {
          let (a, b) = (Lanes.load(x + j), Lanes.load(x + half + j))
          let (c, s) = (Lanes.load(cosine + j), Lanes.load(sine + j))
          (a * c).addingProduct(-b, s).store(y + j)
          (b * c).addingProduct(a, s).store(y + half + j)
          j &+= Lanes.width
        }
        for j in j..<half {
          let (a, b) = (x[j], x[half + j])
          y[j] = (a * cosine[j]).addingProduct(-b, sine[j])
          y[half + j] = (b * cosine[j]).addingProduct(a, sine[j])
        }
        for i in r..<d { y[i] = x[i] }
      }
    }
  }

  /// `dx (+)= dy` rotated back.
  package static func backward(
    _ dy: UnsafePointer<Float>, table: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    tokens: Range<Int>, heads: Int, dimension d: Int, rotated r: Int, accumulate: Bool
  ) {
    let half = r / 2
    for token in tokens {
      let (cosine, sine) = (table + token * r, table + token * r + half)
      for head in 0..<heads {
        let (dy, dx) = (dy + (token * heads + head) * d, dx + (token * heads + head) * d)
        var j = 0
        while j &+ Lanes.width <= half {
          let (a, b) = (Lanes.load(dy + j), Lanes.load(dy + half + j))
          let (c, s) = (Lanes.load(cosine + j), Lanes.load(sine + j))
          var (left, right) = ((a * c).addingProduct(b, s), (b * c).addingProduct(-a, s))
          if accumulate {
            left += Lanes.load(dx + j)
            right += Lanes.load(dx + half + j)
          }
          left.store(dx + j)
          right.store(dx + half + j)
          j &+= Lanes.width
        }
        for j in j..<half {
          let (a, b) = (dy[j], dy[half + j])
          let (c, e) = accumulate ? (dx[j], dx[half + j]) : (0, 0)
          dx[j] = c + (a * cosine[j]).addingProduct(b, sine[j])
          dx[half + j] = e + (b * cosine[j]).addingProduct(-a, sine[j])
        }
        for i in r..<d { dx[i] = accumulate ? dx[i] + dy[i] : dy[i] }
      }
    }
  }
}
