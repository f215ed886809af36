import Foundation
import Tensors

/// A law that was fitted to runs, and how sure it is.
///
/// Concretely: `Σ_i huber_δ(log L̂(N_i, D_i) − log L_i)` with δ = 1e-3 is minimised from a grid of starts. Intervals are those of the
/// Bayesian bootstrap over runs: the fit is made again with random weights of the runs, which are exponential numbers, spread
/// a little more for the constants that were fitted. Drawing runs with replacement would lose sizes whole, without which
/// nothing is determined.
///
/// - Source: Hoffmann et al. (arXiv 2203.15556), section 3.3; Shen et al. (arXiv 2406.16690); Rubin, "The Bayesian Bootstrap"
///   (Annals of Statistics 9, 1981).
package struct LawFit: Sendable {
  /// A figure, and the range in which 95 of 100 resamples have it.
  package struct Estimate: Sendable, Equatable {
    package let value, low, high: Double

    package init(value: Double, low: Double, high: Double) {
      (self.value, self.low, self.high) = (value, low, high)
    }
  }

  /// What was fitted to, in ascending order of parameters and tokens.
  package let points: [ScalingPoint]
  /// The law.
  package let law: ScalingLaw
  /// The laws of the resamples.
  package let resamples: [ScalingLaw]

  /// Where the loss of a residual turns from squares to absolute values.
  package static let delta = 1e-3

  /// Fits a law.
  ///
  /// - Parameters:
  ///   - points: The runs, in any order.
  ///   - resamples: How many fits the intervals come from.
  ///   - seed: Of the resamples.
  /// - Throws: `LawProblem` where the runs cannot carry it.
  package init(_ points: [ScalingPoint], resamples: Int = 400, seed: UInt64 = 0) throws(LawProblem)
  {
    let points = points.sorted {
      ($0.parameters, $0.tokens, $0.loss) < ($1.parameters, $1.tokens, $1.loss)
    }
    try LawProblem.check(points)
    self.points = points
    let equal = [Double](repeating: 1, count: points.count)
    var objective = LawObjective(points, weights: equal, delta: Self.delta)
    let best = Self.minimum(&objective, from: objective.starts())
    law = objective.law(best)
    let random = Random(seed: seed, purpose: Self.purpose)
    let count = UInt64(points.count)
    let law = law
    let power = Self.power(runs: points.count)
    self.resamples = (0..<resamples).map { resample in
      let draws = (0..<count).map {
        pow(-log(1 - random.uniform(at: UInt64(resample) * count + $0)), power)
      }
      let mean = draws.reduce(0, +) / Double(count)
      var objective = LawObjective(
        points, weights: draws.map { $0 / mean }, delta: Self.delta)
      // The best of the grid may lead elsewhere than the law of all runs.
      let starts = objective.starts().map { ($0, objective($0).value) }
        .sorted { $0.1 < $1.1 }.prefix(3).map(\.0)
      let found = Self.minimum(&objective, from: [objective.variables(law)] + starts)
      return objective.law(found)
    }
  }

  /// The power of exponential numbers whose variance over their squared mean is `n / (n − 5)`: residuals of n runs are by so
  /// much smaller than noise as five constants were fitted to them.
  private static func power(runs n: Int) -> Double {
    let wanted = Double(n) / Double(n - LawObjective.count)
    var (low, high) = (1.0, 4.0)
    for _ in 0..<50 {
      let c = (low + high) / 2
      let variance = tgamma(1 + 2 * c) / (tgamma(1 + c) * tgamma(1 + c)) - 1
      if variance < wanted { low = c } else { high = c }
    }
    return low
  }

  /// What the random numbers are for.
  private static let purpose: UInt64 = 0x1A_01 << 48

  /// Where the objective is least, from some starts: first as if residuals were hardly ever large, then less and less so.
  private static func minimum(
    _ objective: inout LawObjective, from starts: [LawObjective.Variables]
  ) -> LawObjective.Variables {
    var best: (place: LawObjective.Variables, value: Double)?
    for start in starts {
      var place = start
      var value = 0.0
      for delta in [0.1, 0.01, Self.delta] {
        objective.delta = delta
        let objective = objective
        (place, value) = QuasiNewton.minimize(from: place, count: LawObjective.count) {
          objective($0)
        }
      }
      if value < best?.value ?? .infinity { best = (place, value) }
    }
    guard let best else { preconditionFailure("a fit from no start") }
    return best.place
  }

  /// A figure of the law, with its interval.
  package func estimate(_ figure: (ScalingLaw) -> Double) -> Estimate {
    let values = resamples.map(figure).filter { !$0.isNaN }.sorted()
    let value = figure(law)
    guard !values.isEmpty else { return Estimate(value: value, low: value, high: value) }
    func quantile(_ share: Double) -> Double {
      let place = share * Double(values.count - 1)
      let index = Int(place)
      let next = values[min(index + 1, values.count - 1)]
      return next == values[index]
        ? next : values[index] + (place - Double(index)) * (next - values[index])
    }
    return Estimate(value: value, low: quantile(0.025), high: quantile(0.975))
  }

  /// Root mean square of what the logarithms of the losses are off by.
  package var error: Double {
    let squares = points.map {
      let residual = log(law.loss(parameters: $0.parameters, tokens: $0.tokens) / $0.loss)
      return residual * residual
    }
    return (squares.reduce(0, +) / Double(points.count)).squareRoot()
  }

  /// What the law does not tell, though it was fitted, a sentence each.
  package var cautions: [String] {
    var cautions: [String] = []
    let least = points.map(\.loss).min() ?? 0
    for (name, what, estimate) in [
      ("α", "parameters", estimate(\.alpha)), ("β", "tokens", estimate(\.beta)),
    ] {
      // 0.05 makes a factor of 10 worth an eighth of the term: nothing that a few runs tell from nothing.
      if estimate.low < 0.05 {
        cautions.append(
          "\(name) may be 0: that more \(what) help is not told apart from that they do not; more runs that differ in "
            + "\(what), or further apart, would tell")
      }
      if estimate.high > 0.97 * LawObjective.mostExponent {
        cautions.append(
          "\(name) is at its bound of \(Int(LawObjective.mostExponent)) in some resamples: the runs with fewest \(what) "
            + "are too few, or are no models to go by")
      }
    }
    let floor = estimate(\.irreducible)
    if floor.high < 0.02 * least {
      cautions.append(
        "E is at its bound of 0: the losses of these runs do not flatten, and what the family gets to in the end is not told; "
          + "predictions far beyond the runs rest on it")
    } else if floor.low < 0.02 * least || floor.high - floor.low > 0.5 * least {
      cautions.append(
        "E is not identified: between \(Self.short(floor.low)) and \(Self.short(floor.high)), with losses from "
          + "\(Self.short(least)) on; predictions far beyond the runs rest on it")
    }
    return cautions
  }

  private static func short(_ value: Double) -> String {
    value < 1e-4 ? "0" : String(format: "%.3g", value)
  }

  /// How many times as large as the largest run a model or its training is, whichever is more; at most 1 within the runs.
  package func reach(parameters: Double, tokens: Double) -> Double {
    let (n, d) = (points.map(\.parameters).max() ?? 1, points.map(\.tokens).max() ?? 1)
    return max(parameters / n, tokens / d)
  }
}
