/// Deterministic parameter-free projection: products of a row's rectified numbers with neighbours, and its twin.
///
/// Concretely, with `y = [relu x, relu −x]` of `2n` numbers: `φ = [y ⊙ roll(y, 1), …, y ⊙ roll(y, 4)]`, rolled to the
/// right: `8n` numbers.
///
/// - Source: "Linear Transformers Are Secretly Fast Weight Programmers" (arXiv 2102.11174), section 5.3.
package enum DPFP {
  /// How far rows are rolled at most.
  package static let rolls = 4

  /// Numbers of a row's features.
  package static func count(_ columns: Int) -> Int { 2 * rolls * columns }

  /// Maps rows of `columns` numbers.
  package static func forward(
    _ x: UnsafePointer<Float>, into phi: UnsafeMutablePointer<Float>, rows: Range<Int>,
    columns n: Int
  ) {
    for row in rows {
      let (x, phi) = (x + row * n, phi + row * count(n))
      for roll in 1...rolls {
        let phi = phi + (roll - 1) * 2 * n
        for i in 0..<2 * n { phi[i] = rectified(x, i, n) * rectified(x, rolled(i, roll, n), n) }
      }
    }
  }

  /// Gradients of each product go to both of its factors, and to x with the sign of each.
  package static func backward(
    _ x: UnsafePointer<Float>, _ dPhi: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, rows: Range<Int>, columns n: Int, accumulate: Bool
  ) {
    for row in rows {
      let (x, dPhi, dx) = (x + row * n, dPhi + row * count(n), dx + row * n)
      for i in 0..<n {
        // Of x_i and −x_i one at most is above 0: the other's products are constant.
        let place = x[i] > 0 ? i : n + i
        var sum: Float = 0
        if x[i] != 0 {
          for roll in 1...rolls {
            let d = dPhi + (roll - 1) * 2 * n
            let (before, after) = (rolled(place, roll, n), rolled(place, -roll, n))
            sum += d[place] * rectified(x, before, n) + d[after] * rectified(x, after, n)
          }
        }
        let d = x[i] > 0 ? sum : -sum
        dx[i] = accumulate ? dx[i] + d : d
      }
    }
  }

  /// `[relu x, relu −x]` at a place.
  @inline(__always)
  private static func rectified(_ x: UnsafePointer<Float>, _ i: Int, _ n: Int) -> Float {
    i < n ? max(x[i], 0) : max(-x[i - n], 0)
  }

  /// The place that lies `roll` to the left of another, around the ends of `2n`.
  @inline(__always)
  private static func rolled(_ i: Int, _ roll: Int, _ n: Int) -> Int {
    (i - roll + 2 * rolls * n) % (2 * n)
  }
}
