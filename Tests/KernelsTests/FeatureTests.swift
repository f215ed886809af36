import ReferenceMath
import Testing

@testable import Kernels

@Suite("Features and means of rows")
struct FeatureTests {
  private static let rows = 4

  @Test(
    "DPFP multiplies neighbours around the ends, whatever the width",
    arguments: [1, 2, 3, 4, 7, 8, 16, 17, 40])
  func dpfp(n: Int) {
    let (rows, count) = (Self.rows, DPFP.count(n))
    var draws = Draws(seed: UInt64(n))
    var x = draws.normals(rows * n)
    // Neither a number nor its negative is above 0.
    x[n - 1] = 0
    x[n] = -0.0
    let dPhi = draws.normals(rows * count)
    var (right, dRight) = (
      [Double](repeating: 0, count: rows * count), [Double](repeating: 0, count: rows * n)
    )
    for row in 0..<rows {
      let own = x[row * n..<(row + 1) * n].map(Double.init)
      let y = own.map { max($0, 0) } + own.map { max(-$0, 0) }
      var dy = [Double](repeating: 0, count: 2 * n)
      for roll in 1...4 {
        for i in 0..<2 * n {
          let (at, other) = (row * count + (roll - 1) * 2 * n + i, (i - roll + 8 * n) % (2 * n))
          right[at] = y[i] * y[other]
          dy[i] += Double(dPhi[at]) * y[other]
          dy[other] += Double(dPhi[at]) * y[i]
        }
      }
      for i in 0..<n { dRight[row * n + i] = own[i] > 0 ? dy[i] : (own[i] < 0 ? -dy[n + i] : 0) }
    }
    var phi = [Float](repeating: .nan, count: rows * count)
    for part in [0..<1, 1..<rows] { DPFP.forward(x, into: &phi, rows: part, columns: n) }
    #expect(isClose(phi, right, 1e-7))
    var dx = [Float](repeating: 1, count: rows * n)
    DPFP.backward(x, dPhi, into: &dx, rows: 0..<rows, columns: n, accumulate: true)
    #expect(isClose(dx, dRight.map { $0 + 1 }, 3e-6))
    var parts = [Float](repeating: .nan, count: rows * n)
    for part in [0..<1, 1..<rows] {
      DPFP.backward(x, dPhi, into: &parts, rows: part, columns: n, accumulate: false)
    }
    #expect(isClose(parts, dRight, 3e-6))
    DPFP.backward(x, dPhi, into: &dx, rows: 0..<rows, columns: n, accumulate: false)
    #expect(dx == parts)
  }

  @Test(
    "Means of parts that are long, short, of one number, or overlap",
    arguments: [(1, 1), (5, 3), (14, 7), (40, 1), (64, 32), (64, 48), (67, 2), (7, 9)])
  func means(n: Int, count: Int) {
    let rows = Self.rows
    var draws = Draws(seed: UInt64(n))
    let (x, dy) = (draws.normals(rows * n), draws.normals(rows * count))
    var (right, dRight) = ([Double](), [Double](repeating: 0, count: rows * n))
    for row in 0..<rows {
      for i in 0..<count {
        let part = row * n + i * n / count..<row * n + ((i + 1) * n + count - 1) / count
        right.append(x[part].reduce(0) { $0 + Double($1) } / Double(part.count))
        for j in part { dRight[j] += Double(dy[row * count + i]) / Double(part.count) }
      }
    }
    var y = [Float](repeating: .nan, count: rows * count)
    AdaptiveMeans.forward(x, into: &y, rows: 0..<rows, columns: n, count: count)
    #expect(isClose(y, right, 1e-6))
    var dx = [Float](repeating: 1, count: rows * n)
    AdaptiveMeans.backward(
      dy, into: &dx, rows: 0..<rows, columns: n, count: count, accumulate: true)
    #expect(isClose(dx, dRight.map { $0 + 1 }, 1e-6))
  }
}
