import Tensors

/// ReGLA's refined forget gate as a log decay: `log f`, `f = (1 − r) g² + r (1 − (1 − g)²)`, and its twin.
///
/// Glossary: `g = σ(a)` the gate, `r = σ(b)` what refines it. Of `f = g (g + 2 r (1 − g))` and
/// `1 − f = (1 − g) ((1 − g) + 2 g (1 − r))` all terms are positive, so that neither loses digits: the first gives the
/// logarithm where f is small, the second where it is near 1.
///
/// - Source: ReGLA (arXiv 2502.01578), section 3.3; Gu et al. (arXiv 1910.09890) for the refining gate.
package enum RefinedGate {
  /// What g + 2 r (1 − g) is at least, where fp32 would have nothing left of it: a log decay below −80 in any case.
  private static let least: Float = 1e-38

  /// `log f_i`.
  package static func forward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into log: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    for i in 0..<count {
      let (g, rest) = (VectorMath.sigmoid(a[i]), VectorMath.sigmoid(-a[i]))
      let (r, other) = (VectorMath.sigmoid(b[i]), VectorMath.sigmoid(-b[i]))
      let forgotten = rest * (rest + 2 * g * other)
      let near = VectorMath.log1p(forgotten < 0.5 ? -forgotten : -0.5)
      let factor = g + 2 * r * rest
      let far = VectorMath.logSigmoid(a[i]) + VectorMath.log(factor > least ? factor : least)
      log[i] = forgotten < 0.5 ? near : far
    }
  }

  /// `da_i (+)= dlog_i · 2 (1 − g)(g (1 − r) + r (1 − g)) / (g + 2 r (1 − g))`;
  /// `db_i (+)= dlog_i · 2 (1 − g) r (1 − r) / (g + 2 r (1 − g))`.
  package static func backward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dlog: UnsafePointer<Float>,
    da: UnsafeMutablePointer<Float>, db: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count {
      let (g, rest) = (VectorMath.sigmoid(a[i]), VectorMath.sigmoid(-a[i]))
      let (r, other) = (VectorMath.sigmoid(b[i]), VectorMath.sigmoid(-b[i]))
      let factor = g + 2 * r * rest
      let common = 2 * dlog[i] * rest / (factor > least ? factor : least)
      da[i] = common * (g * other + r * rest)
      db[i] = common * r * other
    }
  }
}
