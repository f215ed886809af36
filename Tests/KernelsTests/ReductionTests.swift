import ReferenceMath
import Testing

@testable import Kernels

@Suite("Sums and extremes of a row")
struct ReductionTests {
  @Test("Every length counts every number once, to fp32's digits of the sum of magnitudes")
  func lengths() {
    var draws = Draws(seed: 1)
    for count in 1...70 {
      // Numbers beyond the row that would be seen at once.
      let rows = (0..<3).map { _ in draws.normals(count) + [Float](repeating: 1e20, count: 16) }
      let numbers = rows.map { $0[..<count].map(Double.init) }
      let factors: [(got: Float, terms: [Double])] = [
        (Reduction.sum(rows[0], count), numbers[0]),
        (Reduction.dot(rows[0], rows[1], count), zip(numbers[0], numbers[1]).map(*)),
        (
          Reduction.dot(rows[0], rows[1], rows[2], count),
          (0..<count).map { numbers[0][$0] * numbers[1][$0] * numbers[2][$0] }
        ),
      ]
      for (got, terms) in factors {
        let size = terms.reduce(0) { $0 + abs($1) }
        #expect(abs(Double(got) - terms.reduce(0, +)) <= 1e-6 * size, "\(count) numbers")
      }
      let (least, largest) = Reduction.extremes(rows[0], count)
      #expect(least == rows[0][..<count].min() && largest == rows[0][..<count].max())
    }
  }
}
