import Foundation

/// What a fit minimises: `Σ_i w_i huber_δ(log L(N_i, D_i) − log L_i)`, in units of δ.
///
/// The law is `log(exp(e) + exp(a − α x) + exp(b − β y))`, where x and y are the logarithms of N and D less their means, so
/// that a and b are what the terms are in the middle of the runs, and do not move with the exponents. Exponents are
/// `2 / (1 + exp(−u))`, within 0 and 2.
///
/// - Source: Hoffmann et al. (arXiv 2203.15556), section 3.3 and appendix D.4.
struct LawObjective {
  /// The variables: e, a, b, and u of α and of β.
  typealias Variables = SIMD8<Double>
  static let count = 5
  /// The most that an exponent may be.
  static let mostExponent = 2.0

  private let x, y, target: [Double]
  private let weights: [Double]
  private let centre: (x: Double, y: Double)
  /// Where the loss of a residual turns from squares to absolute values.
  var delta: Double

  /// - Parameters:
  ///   - weights: One a point; their mean is 1.
  init(_ points: [ScalingPoint], weights: [Double], delta: Double) {
    let (n, d) = (points.map { log($0.parameters) }, points.map { log($0.tokens) })
    let count = Double(points.count)
    let centre = (x: n.reduce(0, +) / count, y: d.reduce(0, +) / count)
    (x, y) = (n.map { $0 - centre.x }, d.map { $0 - centre.y })
    target = points.map { log($0.loss) }
    (self.centre, self.weights, self.delta) = (centre, weights, delta)
  }

  /// The value, and its gradient, which is exact.
  func callAsFunction(_ v: Variables) -> (value: Double, gradient: Variables) {
    let (alpha, beta) = (Self.exponent(v[3]), Self.exponent(v[4]))
    var value = 0.0
    var gradient = Variables()
    for i in target.indices {
      let (m, n, d) = (v[0], v[1] - alpha * x[i], v[2] - beta * y[i])
      let most = max(m, n, d)
      let (em, en, ed) = (exp(m - most), exp(n - most), exp(d - most))
      let sum = em + en + ed
      let residual = (most + log(sum) - target[i]) / delta
      let slope = weights[i] * min(1, max(-1, residual))
      value +=
        weights[i] * (abs(residual) <= 1 ? residual * residual / 2 : abs(residual) - 0.5)
      let (pm, pn, pd) = (slope * em / sum, slope * en / sum, slope * ed / sum)
      gradient[0] += pm
      gradient[1] += pn
      gradient[2] += pd
      gradient[3] -= pn * x[i]
      gradient[4] -= pd * y[i]
    }
    gradient[3] *= alpha * (1 - alpha / Self.mostExponent)
    gradient[4] *= beta * (1 - beta / Self.mostExponent)
    // Residuals were counted in δ, the variables were not.
    return (value, gradient / delta)
  }

  /// The law that some variables stand for.
  func law(_ v: Variables) -> ScalingLaw {
    let (alpha, beta) = (Self.exponent(v[3]), Self.exponent(v[4]))
    return ScalingLaw(
      irreducible: exp(v[0]), logA: v[1] + alpha * centre.x, logB: v[2] + beta * centre.y,
      alpha: alpha, beta: beta)
  }

  /// The variables that stand for a law.
  func variables(_ law: ScalingLaw) -> Variables {
    var v = Variables()
    v[0] = log(law.irreducible)
    (v[1], v[2]) = (law.logA - law.alpha * centre.x, law.logB - law.beta * centre.y)
    (v[3], v[4]) = (Self.argument(law.alpha), Self.argument(law.beta))
    return v
  }

  /// Variables with the exponents of a grid, each with the other three of the least squares of `L / L_i − 1`.
  func starts() -> [Variables] {
    let exponents = [0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.4]
    return exponents.flatMap { alpha in
      exponents.map { beta in
        let terms = leastSquares(alpha, beta)
        var v = Variables()
        (v[0], v[1], v[2]) = (log(terms[0]), log(terms[1]), log(terms[2]))
        (v[3], v[4]) = (Self.argument(alpha), Self.argument(beta))
        return v
      }
    }
  }

  /// E, and both terms in the middle of the runs, for some exponents: none is below a hundredth of the loss.
  private func leastSquares(_ alpha: Double, _ beta: Double) -> SIMD3<Double> {
    var (matrix, right) = ([SIMD3<Double>](repeating: .zero, count: 3), SIMD3<Double>())
    var least = Double.infinity
    for i in target.indices {
      let inverse = exp(-target[i])
      let row = inverse * SIMD3(1, exp(-alpha * x[i]), exp(-beta * y[i]))
      for r in 0..<3 {
        matrix[r] += weights[i] * row[r] * row
        right[r] += weights[i] * row[r]
      }
      least = min(least, exp(target[i]))
    }
    // Of all choices of terms that are there, the best whose terms are all positive.
    var best = (error: Double.infinity, terms: SIMD3<Double>(repeating: least / 3))
    for chosen in [[0, 1, 2], [0, 1], [0, 2], [1, 2], [0], [1], [2]] {
      guard let terms = Self.solve(matrix, right, chosen), chosen.allSatisfy({ terms[$0] > 0 })
      else { continue }
      var error = 0.0
      for r in 0..<3 {
        error += terms[r] * ((matrix[r] * terms).sum() - 2 * right[r])
      }
      if error < best.error { best = (error, terms) }
    }
    return pointwiseMax(best.terms, SIMD3(repeating: least / 100))
  }

  /// Solves the rows and columns that are chosen of a positive definite system; nil where it is none.
  private static func solve(
    _ matrix: [SIMD3<Double>], _ right: SIMD3<Double>, _ chosen: [Int]
  ) -> SIMD3<Double>? {
    var rows = chosen.map { r in chosen.map { matrix[r][$0] } + [right[r]] }
    for pivot in rows.indices {
      let diagonal = rows[pivot][pivot]
      guard diagonal > 1e-12 * matrix[chosen[pivot]][chosen[pivot]] else { return nil }
      for r in rows.indices where r != pivot {
        let factor = rows[r][pivot] / diagonal
        for c in pivot..<rows[r].count { rows[r][c] -= factor * rows[pivot][c] }
      }
    }
    var terms = SIMD3<Double>()
    for (index, place) in chosen.enumerated() {
      terms[place] = rows[index].last! / rows[index][index]
    }
    return terms
  }

  private static func exponent(_ u: Double) -> Double { mostExponent / (1 + exp(-u)) }

  private static func argument(_ exponent: Double) -> Double {
    let share = min(max(exponent / mostExponent, 1e-6), 1 - 1e-6)
    return log(share / (1 - share))
  }
}
