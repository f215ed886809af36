import Foundation
import Tensors
import Testing

@testable import ScalingLaws

@Suite("Scaling laws")
struct LawFitTests {
  /// Hoffmann's own, in nats.
  private static let chinchilla = ScalingLaw(
    irreducible: 1.69, logA: log(406.4), logB: log(410.7), alpha: 0.34, beta: 0.28)
  /// One of small models of bytes.
  private static let bytes = ScalingLaw(
    irreducible: 0.9, logA: log(60), logB: log(900), alpha: 0.4, beta: 0.45)

  /// Runs of a grid of sizes and tokens whose losses obey a law up to noise.
  private static func runs(
    of law: ScalingLaw, sizes: [Double], tokens: [Double], noise: Double = 0, seed: UInt64 = 1
  ) -> [ScalingPoint] {
    let random = Random(seed: seed, purpose: 99)
    return sizes.enumerated().flatMap { row, n in
      tokens.enumerated().map { column, d in
        ScalingPoint(
          parameters: n, tokens: d,
          loss: law.loss(parameters: n, tokens: d)
            * exp(noise * random.normal(at: UInt64(row * tokens.count + column))))
      }
    }
  }

  private static let small = (
    sizes: [1e5, 2e5, 4e5, 1e6], tokens: [1.25e6, 2.5e6, 5e6, 1e7, 2e7]
  )
  private static let large = (sizes: [5e7, 2e8, 1e9, 5e9], tokens: [1e9, 5e9, 2e10, 1e11])

  @Test("The objective's gradient is that of finite differences", arguments: [0.3, 1e-3])
  func gradient(delta: Double) {
    let points = Self.runs(
      of: Self.bytes, sizes: Self.small.sizes, tokens: Self.small.tokens, noise: 0.01)
    let weights = points.indices.map { 0.5 + Double($0 % 3) / 2 }
    let objective = LawObjective(points, weights: weights, delta: delta)
    for start in [
      objective.variables(Self.bytes), objective.starts()[9], objective.starts()[50],
    ] {
      let gradient = objective(start).gradient
      for index in 0..<LawObjective.count {
        let step = 1e-6
        var (more, less) = (start, start)
        more[index] += step
        less[index] -= step
        let slope = (objective(more).value - objective(less).value) / (2 * step)
        let scale = max(1, abs(slope), gradient.max())
        // Where a residual turns from squares to absolute values between both, they part a little.
        #expect(abs(gradient[index] - slope) < 1e-4 * scale, "variable \(index)")
      }
    }
  }

  @Test("The minimum of a narrow valley is found")
  func valley() {
    var start = LawObjective.Variables()
    (start[0], start[1]) = (-1.2, 1)
    let found = QuasiNewton.minimize(from: start, count: 2) { v in
      let (a, b) = (1 - v[0], v[1] - v[0] * v[0])
      var gradient = LawObjective.Variables()
      gradient[0] = -2 * a - 400 * v[0] * b
      gradient[1] = 200 * b
      return (a * a + 100 * b * b, gradient)
    }
    #expect(abs(found.place[0] - 1) < 1e-5 && abs(found.place[1] - 1) < 1e-5)
  }

  @Test("Losses without noise give the constants back")
  func exact() throws {
    for (law, grid) in [(Self.bytes, Self.small), (Self.chinchilla, Self.large)] {
      let fit = try LawFit(
        Self.runs(of: law, sizes: grid.sizes, tokens: grid.tokens), resamples: 20)
      #expect(abs(fit.law.irreducible - law.irreducible) < 1e-3 * law.irreducible)
      #expect(abs(fit.law.alpha - law.alpha) < 1e-3)
      #expect(abs(fit.law.beta - law.beta) < 1e-3)
      #expect(abs(fit.law.logA - law.logA) < 2e-2)
      #expect(abs(fit.law.logB - law.logB) < 2e-2)
      #expect(fit.error < 1e-5)
    }
  }

  @Test(
    "Of losses with noise the intervals hold the constants", arguments: [1, 2, 3, 4] as [UInt64])
  func noisy(seed: UInt64) throws {
    for (law, grid) in [(Self.bytes, Self.small), (Self.chinchilla, Self.large)] {
      let fit = try LawFit(
        Self.runs(of: law, sizes: grid.sizes, tokens: grid.tokens, noise: 0.003, seed: seed),
        resamples: 100)
      for (name, figure) in Self.figures {
        let (estimate, right) = (fit.estimate(figure), figure(law))
        #expect(estimate.low <= estimate.value && estimate.value <= estimate.high, "\(name)")
        // Of five figures of eight fits an interval of 95 of 100 misses two; none by more than its own width.
        let width = estimate.high - estimate.low
        #expect(
          estimate.low - width / 2 <= right && right <= estimate.high + width / 2,
          "\(name): \(right) is not in \(estimate)")
      }
    }
  }

  private static let figures: [(String, @Sendable (ScalingLaw) -> Double)] = [
    ("E", { $0.irreducible }), ("α", { $0.alpha }), ("β", { $0.beta }), ("log A", { $0.logA }),
    ("log B", { $0.logB }),
  ]

  @Test("A run far off the law moves it little")
  func outlier() throws {
    var points = Self.runs(of: Self.bytes, sizes: Self.small.sizes, tokens: Self.small.tokens)
    points[7] = ScalingPoint(
      parameters: points[7].parameters, tokens: points[7].tokens, loss: 2 * points[7].loss)
    let fit = try LawFit(points, resamples: 20)
    #expect(abs(fit.law.alpha - Self.bytes.alpha) < 0.01)
    #expect(abs(fit.law.beta - Self.bytes.beta) < 0.01)
  }

  @Test("Resamples are the same again, whatever the order of the runs, and others for another seed")
  func deterministic() throws {
    let points = Self.runs(
      of: Self.bytes, sizes: Self.small.sizes, tokens: Self.small.tokens, noise: 0.01)
    let fits = try [(points, 5), (points.reversed(), 5), (points, 6)].map { points, seed in
      try LawFit(points, resamples: 20, seed: UInt64(seed))
    }
    #expect(fits[0].law == fits[1].law && fits[0].resamples == fits[1].resamples)
    #expect(fits[0].law == fits[2].law && fits[0].resamples != fits[2].resamples)
  }

  @Test("Runs that cannot carry a law are refused with what to do")
  func refused() throws {
    func problem(_ sizes: [Double], _ tokens: [Double]) throws -> LawProblem {
      try #require(throws: LawProblem.self) {
        try LawFit(Self.runs(of: Self.bytes, sizes: sizes, tokens: tokens), resamples: 20)
      }
    }
    let few = try problem([1e5, 1.01e5, 1e6], [1e6, 1e7])
    #expect(few == .tooFew(4))
    #expect(
      few.description
        == "4 runs differ in parameters or tokens, and a law of five constants needs 6; train more "
        + "sizes, or each for more numbers of tokens")
    let sizes = try problem([1e5, 1e6], [1e6, 3e6, 1e7, 3e7])
    #expect(
      sizes.description
        == "there are 2 different numbers of parameters, and a law needs 3; train more sizes")
    let near = try problem([1e5, 2e5, 4e5], [1e6, 1.1e6, 1.2e6])
    #expect(
      near.description
        == "numbers of tokens differ by a factor of 1.2 at most, and a law needs 2; spread them further"
    )
    // Twenty tokens a parameter.
    let diagonal = (0..<8).map { index in
      let n = 1e5 * pow(1.5, Double(index))
      return ScalingPoint(
        parameters: n, tokens: 20 * n, loss: Self.bytes.loss(parameters: n, tokens: 20 * n))
    }
    let together = try #require(throws: LawProblem.self) { try LawFit(diagonal) }
    #expect(together == .together(correlation: 1) || "\(together)".contains("1.000"))
    #expect("\(together)".hasPrefix("parameters and tokens rise together"))
  }

  @Test("It says where an exponent may be 0, and where E is not identified")
  func cautions() throws {
    let right = try LawFit(
      Self.runs(of: Self.bytes, sizes: Self.small.sizes, tokens: Self.small.tokens), resamples: 50)
    #expect(right.cautions == [])
    // More parameters do not help.
    let flat = ScalingLaw(irreducible: 1, logA: -30, logB: log(900), alpha: 0.4, beta: 0.45)
    let still = try LawFit(
      Self.runs(of: flat, sizes: Self.small.sizes, tokens: Self.small.tokens, noise: 0.01),
      resamples: 50)
    #expect(
      still.cautions.contains { $0.hasPrefix("α may be 0") || $0.hasPrefix("α is at its bound") })
    // Far above E, power laws of noisy runs are as good without it.
    let far = ScalingLaw(irreducible: 0.3, logA: log(60), logB: log(60), alpha: 0.25, beta: 0.2)
    let near = try LawFit(
      Self.runs(of: far, sizes: [1e5, 2e5, 4e5], tokens: [1e6, 2e6, 4e6], noise: 0.01),
      resamples: 50)
    #expect(near.cautions.contains { $0.hasPrefix("E is not identified") })
    // Losses that fall faster and faster are fitted best without E.
    let bent = [1e5, 2e5, 4e5].flatMap { n in
      [1e6, 2e6, 4e6, 8e6].map { d in
        ScalingPoint(parameters: n, tokens: d, loss: 6 - 0.2 * log(n) * log(d) / 10 - log(n) / 20)
      }
    }
    let steep = try LawFit(bent, resamples: 50)
    #expect(steep.cautions.contains { $0.hasPrefix("E is at its bound of 0") })
  }

  @Test("The best model of a budget has the least loss of all that it pays for")
  func optimum() {
    for law in [Self.bytes, Self.chinchilla] {
      for compute in [1e13, 1e18, 1e23] {
        let best = law.optimum(compute: compute)
        #expect(abs(6 * best.parameters * best.tokens / compute - 1) < 1e-9)
        for factor in [0.5, 0.9, 1.1, 2] {
          let other = law.loss(
            parameters: factor * best.parameters, tokens: best.tokens / factor)
          #expect(other > law.leastLoss(compute: compute))
        }
        let tokens = law.tokens(
          reaching: law.leastLoss(compute: compute), parameters: best.parameters)
        #expect(abs((tokens ?? 0) / best.tokens - 1) < 1e-6)
      }
      #expect(law.tokens(reaching: law.irreducible, parameters: 1e9) == nil)
    }
  }
}
