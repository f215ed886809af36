import Tensors

/// Channels beside their quarter turns, by angles from data: `[x cos θ, x sin θ]` of each head, and its twin.
///
/// The product of two that are turned so is that of the two, times the cosine of the difference of their angles,
/// channel by channel: queries and keys turned by running sums of angles have the angles between them.
///
/// - Source: GateLoop (arXiv 2311.01927), section 3, where the same is a complex state.
package enum AngleRotation {
  /// Turns some rows.
  ///
  /// - Parameters:
  ///   - x: `[rows, heads, width]`.
  ///   - angles: Likewise.
  ///   - y: Receives `[rows, heads, 2 · width]`.
  package static func forward(
    _ x: UnsafePointer<Float>, _ angles: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    rows: Range<Int>, heads: Int, width: Int
  ) {
    for unit in rows.lowerBound * heads..<rows.upperBound * heads {
      let (x, angle, y) = (x + unit * width, angles + unit * width, y + unit * 2 * width)
      // Two loops, since one that writes to two places is not made of vector instructions.
      let turned = y + width
      for i in 0..<width { y[i] = x[i] * VectorMath.sinCos(angle[i]).cos }
      for i in 0..<width { turned[i] = x[i] * VectorMath.sinCos(angle[i]).sin }
    }
  }

  /// `dx = dy₁ cos θ + dy₂ sin θ`; `dθ = x (dy₂ cos θ − dy₁ sin θ)`.
  package static func backward(
    _ x: UnsafePointer<Float>, _ angles: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>, dAngles: UnsafeMutablePointer<Float>, rows: Range<Int>,
    heads: Int, width: Int
  ) {
    for unit in rows.lowerBound * heads..<rows.upperBound * heads {
      let (x, angle, dy) = (x + unit * width, angles + unit * width, dy + unit * 2 * width)
      let (dx, dAngle) = (dx + unit * width, dAngles + unit * width)
      let dTurned = dy + width
      for i in 0..<width {
        let (sine, cosine) = VectorMath.sinCos(angle[i])
        dx[i] = dy[i] * cosine + dTurned[i] * sine
      }
      for i in 0..<width {
        let (sine, cosine) = VectorMath.sinCos(angle[i])
        dAngle[i] = x[i] * (dTurned[i] * cosine - dy[i] * sine)
      }
    }
  }
}
