import Tensors

/// Maps of a row to positive features, whose products stand in for the exponentials of softmax attention; and their twins.
///
/// Features are at least 1e-12: below, they do not depend on the row.
///
/// - Source: Hedgehog (arXiv 2402.04347), section 4; T2R (2103.13076), section 2.2; LoLCATs (2410.10254).
package enum PositiveFeatures: Sendable {
  /// `[softmax(u), softmax(−u)]`.
  case softmax
  /// `[e^{u − max u}, e^{min u − u}]`; both extremes are parts of the function.
  case exponential
  /// `max(u, 0)`.
  case relu
  /// `elu(u) + 1`.
  case eluPlusOne

  /// The least feature.
  package static let least: Float = 1e-12
  /// What a feature is told from the least by, as it is or rounded to bf16.
  private static func clamped(isRounded: Bool) -> Float {
    guard isRounded else { return least }
    return max(least, Float(bitPattern: UInt32(BFloat16.rounded(least)) << 16))
  }

  /// Whether features depend on which numbers of a row are its extremes by more than their values.
  package var hasExtremes: Bool { self == .exponential }

  /// Features of rows of `width` numbers.
  package func count(_ width: Int) -> Int {
    switch self {
    case .softmax, .exponential: 2 * width
    case .relu, .eluPlusOne: width
    }
  }

  /// Maps rows of `n` numbers to rows of `count(n)`.
  ///
  /// - Parameter extremes: Receives of each row where its largest and its least number are, the first of those alike; nil where
  ///   there is nobody to ask.
  package func forward(
    _ u: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int, columns n: Int,
    extremes: UnsafeMutablePointer<Int32>? = nil
  ) {
    let (count, least) = (count(n), Self.least)
    for row in 0..<rows {
      let (u, y) = (u + row * n, y + row * count)
      switch self {
      case .softmax, .exponential:
        let (low, high) = Reduction.extremes(u, n)
        if let places = extremes.map({ $0 + 2 * row }) {
          (places[0], places[1]) = (Self.place(of: high, u, n), Self.place(of: low, u, n))
        }
        // Two loops, since one that writes to two places is not made of vector instructions.
        let mirrored = y + n
        for i in 0..<n { y[i] = VectorMath.exp(u[i] - high) }
        for i in 0..<n { mirrored[i] = VectorMath.exp(low - u[i]) }
        if self == .softmax {
          for half in [y, y + n] {
            let inverse = 1 / Reduction.sum(half, n)
            for i in 0..<n { half[i] *= inverse }
          }
        }
        for i in 0..<2 * n { y[i] = max(y[i], least) }
      case .relu:
        for i in 0..<n { y[i] = max(u[i], least) }
      case .eluPlusOne:
        for i in 0..<n { y[i] = max(u[i] > 0 ? u[i] + 1 : VectorMath.exp(u[i]), least) }
      }
    }
  }

  /// Where a number of a row first is; 0 where nothing is like it.
  private static func place(of x: Float, _ u: UnsafePointer<Float>, _ n: Int) -> Int32 {
    for i in 0..<n where u[i] == x { return Int32(i) }
    return 0
  }

  /// The gradient of `u` by that of its features.
  ///
  /// - Parameters:
  ///   - isRounded: Whether the features have been rounded to bf16.
  ///   - extremes: What `forward` found.
  ///   - scratch: `count(n)` floats.
  package func backward(
    _ y: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into du: UnsafeMutablePointer<Float>,
    rows: Int, columns n: Int, isRounded: Bool, extremes: UnsafePointer<Int32>?,
    accumulate: Bool, scratch d: UnsafeMutablePointer<Float>
  ) {
    precondition(!hasExtremes || extremes != nil, "features without their extremes")
    let (count, least) = (count(n), Self.clamped(isRounded: isRounded))
    for row in 0..<rows {
      let (y, dy, du) = (y + row * count, dy + row * count, du + row * n)
      // y ⊙ dy, or dy, of the features that are not clamped.
      let isProduct = self == .softmax || self == .exponential
      for i in 0..<count { d[i] = y[i] > least ? (isProduct ? y[i] * dy[i] : dy[i]) : 0 }
      if !accumulate { du.update(repeating: 0, count: n) }
      let (mirrored, dMirrored) = (y + n, d + n)
      switch self {
      case .softmax:
        let (a, b) = (Reduction.sum(d, n), Reduction.sum(dMirrored, n))
        for i in 0..<n { du[i] += (d[i] - y[i] * a) - (dMirrored[i] - mirrored[i] * b) }
      case .exponential:
        let (a, b) = (Reduction.sum(d, n), Reduction.sum(dMirrored, n))
        for i in 0..<n { du[i] += d[i] - dMirrored[i] }
        du[Int(extremes![2 * row])] -= a
        du[Int(extremes![2 * row + 1])] += b
      case .relu:
        for i in 0..<n { du[i] += d[i] }
      case .eluPlusOne:
        // Above 0 it is more than 1, where its slope is 1; below, it is its slope.
        for i in 0..<n { du[i] += y[i] > 1 ? d[i] : d[i] * y[i] }
      }
    }
  }
}
