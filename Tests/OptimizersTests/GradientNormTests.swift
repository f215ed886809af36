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

  /// The exact sum of several ranks' gradients.
  private func exactSum(_ ranks: [[Float]]) -> Double {
    var sums: [Double] = []
    for gradients in ranks {
      var squares = SumOfSquares(exact: true)
      for part in stride(from: 0, to: gradients.count, by: 70_001) {
        let end = min(part + 70_001, gradients.count)
        Array(gradients[part..<end]).withUnsafeBufferPointer {
          squares.add($0.baseAddress!, count: $0.count, team: ThreadTeam(size: 1))
        }
      }
      sums = sums.isEmpty ? squares.numbers : zip(sums, squares.numbers).map(+)
    }
    return SumOfSquares(exact: true).value(ofAll: sums[...])
  }

  @Test func anExactSumIsTheSameHoweverGradientsLie() {
    let random = Random(seed: 5, purpose: 4)
    let gradients = (0..<200_001).map {
      Float(random.normal(at: UInt64($0)))
        * Float(sign: .plus, exponent: $0 % 90 - 60, significand: 1)
    }
    let sum = exactSum([gradients])
    #expect(abs(sumOfSquares(gradients) - sum) <= 1e-13 * sum)
    for cut in [1, 3, 100_000, 200_000] {
      let parts = [Array(gradients[..<cut].reversed()), Array(gradients[cut...])]
      #expect(exactSum(parts) == sum && exactSum(parts.reversed()) == sum)
    }
  }

  @Test(arguments: [
    0, Float.leastNonzeroMagnitude, Float.leastNormalMagnitude, 1, 3, 16_777_215,
    Float.greatestFiniteMagnitude,
  ])
  func anExactSumOfEqualNumbersIsTheirProduct(number: Float) {
    let square = Double(number) * Double(number)
    for count in [1, 2, 1 << 17] {
      let numbers = [Float](repeating: -number, count: count)
      #expect(exactSum([numbers, numbers]) == 2 * Double(count) * square)
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity], [0, 100_000])
  func whatIsNoNumberShowsInAnExactSum(bad: Float, place: Int) {
    var gradients = [Float](repeating: 1, count: 100_001)
    gradients[place] = bad
    #expect(!exactSum([[1, 2], gradients]).isFinite)
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
