import Tensors
import Testing

@testable import Optimizers

@Suite struct GradientNorms {
  private func sumOfSquares(_ gradients: [Float], threads: Int = 1) -> Double {
    GradientNorm.sumOfSquares(gradients, count: gradients.count, team: ThreadTeam(size: threads))
  }

  @Test(arguments: [0, 1, 7, 511, 512, 513, 300_001])
  func sumsSquaresInDouble(count: Int) {
    let random = Random(seed: 3, purpose: 4)
    let gradients = (0..<count).map {
      Float(random.normal(at: UInt64($0))) * ($0 % 3 == 0 ? 1e-4 : 10)
    }
    // Compensated, so that the reference is exact to the last digit or two.
    var (expected, lost) = (0.0, 0.0)
    for gradient in gradients {
      let term = Double(gradient) * Double(gradient) - lost
      let sum = expected + term
      lost = (sum - expected) - term
      expected = sum
    }
    for threads in 1...3 {
      #expect(abs(sumOfSquares(gradients, threads: threads) - expected) <= 1e-13 * expected)
    }
  }

  @Test func greatGradientsDoNotOverflow() {
    let norm = GradientNorm(sumOfSquares: sumOfSquares([3e30, 4e30]))
    #expect(abs(norm.value - 5e30) < 1e24)
    #expect(norm.isFinite)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity], [0, 100_000])
  func aGradientThatIsNoNumberShowsInTheNorm(bad: Float, place: Int) {
    var gradients = [Float](repeating: 1, count: 100_001)
    gradients[place] = bad
    #expect(!GradientNorm(sumOfSquares: sumOfSquares(gradients)).isFinite)
  }

  @Test func clippingScalesDownToTheLimitOnly() {
    let norm = GradientNorm(sumOfSquares: 25)
    #expect(norm.value == 5)
    #expect(norm.clippingScale(limit: 1) == 0.2)
    #expect(norm.clippingScale(limit: 5) == 1)
    #expect(norm.clippingScale(limit: 10) == 1)
    #expect(norm.clippingScale(limit: 0) == 1)
    #expect(GradientNorm(sumOfSquares: 0).clippingScale(limit: 1) == 1)
  }
}
