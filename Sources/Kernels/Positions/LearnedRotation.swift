import Foundation

/// TransNormerLLM's learned rotary positions (LRPE): `x → [x cos(tθ), x sin(tθ)]` per head, and its twin.
///
/// The angle `tθ` is formed in Double and reduced modulo 2π, so that positions in the millions keep their
/// phase.
///
/// - Source: arXiv 2307.14995, §3.1.
package enum LearnedRotation {
  /// Rotates a range of rows.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, H·K]`.
  ///   - theta: Shape `[H, 1, K]`.
  ///   - y: Shape `[N, H·2K]`, written.
  ///   - position: The global position of a row.
  package static func forward(
    _ x: UnsafePointer<Float>, theta: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    rows: Range<Int>, heads: Int, width k: Int, position: (Int) -> Int
  ) {
    for row in rows {
      let t = Double(position(row))
      for head in 0..<heads {
        let (x, y) = (x + (row * heads + head) * k, y + (row * heads + head) * 2 * k)
        for j in 0..<k {
          let (cosine, sine) = turn(t, theta[head * k + j])
          y[j] = x[j] * cosine
          y[k + j] = x[j] * sine
        }
      }
    }
  }

  /// `dx (+)= dy_c cos + dy_s sin` and `dθ += Σ_t t x (dy_s cos − dy_c sin)` for a range of heads.
  ///
  /// - Parameter dTheta: Sums in Double, `[H, K]`.
  package static func backward(
    _ x: UnsafePointer<Float>, theta: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, dTheta: UnsafeMutablePointer<Double>, rows: Int,
    heads range: Range<Int>, heads: Int, width k: Int, accumulate: Bool, position: (Int) -> Int
  ) {
    for row in 0..<rows {
      let t = Double(position(row))
      for head in range {
        let at = row * heads + head
        let (x, dx, dy) = (x + at * k, dx + at * k, dy + at * 2 * k)
        for j in 0..<k {
          let (cosine, sine) = turn(t, theta[head * k + j])
          let d = dy[j] * cosine + dy[k + j] * sine
          dx[j] = accumulate ? dx[j] + d : d
          dTheta[head * k + j] += t * Double(x[j] * (dy[k + j] * cosine - dy[j] * sine))
        }
      }
    }
  }

  private static func turn(_ t: Double, _ theta: Float) -> (Float, Float) {
    let angle = (t * Double(theta)).remainder(dividingBy: 2 * .pi)
    return (Float(cos(angle)), Float(sin(angle)))
  }
}
