import Foundation

/// cosFormer's positions: `x → [x cos(πt/2M), x sin(πt/2M)]` of each head, and its twin.
///
/// The product of a query and a key that are mapped so has the weight `cos(π(i − j)/2M)`, which falls from 1 to 0 over M
/// tokens. Only differences of positions matter, so any position may count as the first.
///
/// - Source: cosFormer (arXiv 2202.08791), section 3.3.
package struct CosineWeights: Sendable {
  /// M, the tokens over which the weight falls to 0.
  package let length: Int
  /// Numbers of a head, before.
  package let width: Int

  package init(length: Int, width: Int) {
    precondition(
      length > 0 && width > 0, "cosine weights over \(length) tokens of \(width) numbers")
    (self.length, self.width) = (length, width)
  }

  /// Maps some rows of `heads` heads.
  ///
  /// - Parameter position: The position of a row.
  package func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int,
    position: (Int) -> Int
  ) {
    for row in rows {
      let (cosine, sine) = turn(position(row))
      for unit in row * heads..<(row + 1) * heads {
        let (x, y) = (x + unit * width, y + unit * 2 * width)
        let turned = y + width
        // Two loops, since one that writes to two places is not made of vector instructions.
        for i in 0..<width { y[i] = x[i] * cosine }
        for i in 0..<width { turned[i] = x[i] * sine }
      }
    }
  }

  /// `dx (+)= dy₁ cos + dy₂ sin`.
  package func backward(
    _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int,
    accumulate: Bool, position: (Int) -> Int
  ) {
    for row in rows {
      let (cosine, sine) = turn(position(row))
      for unit in row * heads..<(row + 1) * heads {
        let (dx, dy) = (dx + unit * width, dy + unit * 2 * width)
        let dTurned = dy + width
        if accumulate {
          for i in 0..<width { dx[i] += dy[i] * cosine + dTurned[i] * sine }
        } else {
          for i in 0..<width { dx[i] = dy[i] * cosine + dTurned[i] * sine }
        }
      }
    }
  }

  /// Whole turns, of 4M tokens, are taken off as integers.
  private func turn(_ position: Int) -> (cosine: Float, sine: Float) {
    let angle = Double.pi * Double(position % (4 * length)) / Double(2 * length)
    return (Float(cos(angle)), Float(sin(angle)))
  }
}
