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
    withTurns(k) { turns in
      for row in rows {
        let t = Double(position(row))
        for head in 0..<heads {
          let (x, y) = (x + (row * heads + head) * k, y + (row * heads + head) * 2 * k)
          let turned = y + k
          turns.set(t, theta + head * k)
          for j in 0..<k { y[j] = x[j] * turns.cosine[j] }
          for j in 0..<k { turned[j] = x[j] * turns.sine[j] }
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
    withTurns(k) { turns in
      let (cosine, sine) = (turns.cosine, turns.sine)
      for row in 0..<rows {
        let t = Double(position(row))
        for head in range {
          let at = row * heads + head
          let (x, dx, dy, sums) = (x + at * k, dx + at * k, dy + at * 2 * k, dTheta + head * k)
          let dTurned = dy + k
          turns.set(t, theta + head * k)
          if accumulate {
            for j in 0..<k { dx[j] += dy[j] * cosine[j] + dTurned[j] * sine[j] }
          } else {
            for j in 0..<k { dx[j] = dy[j] * cosine[j] + dTurned[j] * sine[j] }
          }
          for j in 0..<k {
            sums[j] += t * Double(x[j] * (dTurned[j] * cosine[j] - dy[j] * sine[j]))
          }
        }
      }
    }
  }

  /// Cosines and sines of a head's angles at a position.
  private struct Turns {
    let cosine, sine: UnsafeMutablePointer<Float>
    let count: Int

    @inline(__always)
    func set(_ t: Double, _ theta: UnsafePointer<Float>) {
      for j in 0..<count {
        let (s, c) = sinCosOf(t * Double(theta[j]))
        cosine[j] = c
        sine[j] = s
      }
    }
  }

  @inline(__always)
  private static func withTurns(_ count: Int, _ body: (Turns) -> Void) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * count) { room in
      guard let room = room.baseAddress else { return }
      body(Turns(cosine: room, sine: room + count, count: count))
    }
  }
}
