import Foundation
import ReferenceMath
import Testing

@testable import Kernels

@Suite("Softmaxes and positive features of rows, as wide as they are")
struct SoftmaxFeatureTests {
  private static let rows = 3
  private static let widths = [1, 2, 7, 8, 15, 16, 17, 40, 64]

  /// The softmax of numbers, and what goes back of a gradient.
  private static func softmax(_ x: [Double], _ dy: [Double]) -> (y: [Double], dx: [Double]) {
    let most = x.max()!
    let powers = x.map { exp($0 - most) }
    let y = powers.map { $0 / powers.reduce(0, +) }
    let mean = zip(y, dy).reduce(0) { $0 + $1.0 * $1.1 }
    return (y, zip(y, dy).map { $0 * ($1 - mean) })
  }

  @Test("The softmax of a row, and that of the row beside its negative", arguments: widths)
  func softmaxes(n: Int) {
    let rows = Self.rows
    var draws = Draws(seed: UInt64(n))
    let (x, dy) = (draws.normals(rows * n).map { 3 * $0 }, draws.normals(2 * rows * n))
    var (right, dRight) = ([Double](), [Double]())
    var (mirrored, dMirrored) = ([Double](), [Double]())
    for row in 0..<rows {
      let own = x[row * n..<(row + 1) * n].map(Double.init)
      let one = Self.softmax(own, dy[row * n..<(row + 1) * n].map(Double.init))
      right += one.y
      dRight += one.dx
      let both = Self.softmax(
        own.map { 2 * $0 } + own.map { -2 * $0 },
        dy[2 * row * n..<2 * (row + 1) * n].map(Double.init))
      mirrored += both.y
      dMirrored += (0..<n).map { 2 * (both.dx[$0] - both.dx[n + $0]) }
    }
    var y = [Float](repeating: .nan, count: rows * n)
    for part in [0..<1, 1..<rows] { RowSoftmax.forward(x, into: &y, rows: part, columns: n) }
    #expect(isClose(y, right, 1e-6))
    var dx = [Float](repeating: 1, count: rows * n)
    RowSoftmax.backward(y, dy, into: &dx, rows: 0..<rows, columns: n, accumulate: true)
    #expect(isClose(dx, dRight.map { $0 + 1 }, 2e-6))
    var z = [Float](repeating: .nan, count: 2 * rows * n)
    for part in [0..<1, 1..<rows] { MirroredSoftmax.forward(x, into: &z, rows: part, columns: n) }
    #expect(isClose(z, mirrored, 1e-6))
    for accumulate in [false, true] {
      // The second adds to the first.
      MirroredSoftmax.backward(z, dy, into: &dx, rows: 0..<rows, columns: n, accumulate: accumulate)
      #expect(isClose(dx, dMirrored.map { accumulate ? 2 * $0 : $0 }, 4e-6))
    }
  }

  @Test(
    "Exponentials are relative to the extremes, whose gradients go to the first of those alike",
    arguments: widths)
  func exponentials(n: Int) {
    let (rows, least) = (Self.rows, Double(PositiveFeatures.least))
    var draws = Draws(seed: UInt64(n))
    // Few values, so that extremes are there more than once; some so low that their features are clamped.
    let u = (0..<rows * n).map { _ in Float(draws.integer(-3...3)) * 12 }
    let dy = draws.normals(2 * rows * n)
    var (right, dRight) = ([Double](), [Double]())
    var places = [Int32]()
    for row in 0..<rows {
      let own = u[row * n..<(row + 1) * n].map(Double.init)
      let (high, low) = (own.max()!, own.min()!)
      let y = own.map { max(exp($0 - high), least) } + own.map { max(exp(low - $0), least) }
      var dx = [Double](repeating: 0, count: n)
      let (first, last) = (own.firstIndex(of: high)!, own.firstIndex(of: low)!)
      for i in 0..<n {
        for (at, sign, place) in [(i, 1.0, first), (n + i, -1.0, last)] where y[at] > 1.001 * least
        {
          let d = sign * y[at] * Double(dy[2 * row * n + at])
          dx[i] += d
          dx[place] -= d
        }
      }
      right += y
      dRight += dx
      places += [Int32(first), Int32(last)]
    }
    var (y, extremes) = (
      [Float](repeating: .nan, count: 2 * rows * n), [Int32](repeating: -1, count: 2 * rows)
    )
    PositiveFeatures.exponential.forward(u, into: &y, rows: rows, columns: n, extremes: &extremes)
    #expect(isClose(y, right, 1e-6))
    #expect(extremes == places)
    var (dx, scratch) = (
      [Float](repeating: 1, count: rows * n), [Float](repeating: .nan, count: 2 * n)
    )
    PositiveFeatures.exponential.backward(
      y, dy, into: &dx, rows: rows, columns: n, isRounded: false, extremes: extremes,
      accumulate: true, scratch: &scratch)
    #expect(isClose(dx, dRight.map { $0 + 1 }, 4e-6))
  }
}
