import Foundation
import ReferenceMath
import Testing

@testable import Kernels

@Suite("Learned and cosine positions")
struct RotationTests {
  private static let (rows, heads) = (5, 3)

  /// What a head's `[x cos, x sin]` are by angles in Double, and what goes back.
  private struct Expected {
    var (y, dx, slope) = ([Double](), [Double](), [Double]())

    init(_ x: [Float], _ dy: [Float], width: Int, angle: (_ row: Int, _ column: Int) -> Double) {
      y = [Double](repeating: 0, count: dy.count)
      for (index, number) in x.enumerated() {
        let (unit, j, columns) = (index / width, index % width, heads * width)
        let (a, at) = (angle(index / columns, index % columns), unit * 2 * width + j)
        (y[at], y[at + width]) = (Double(number) * cos(a), Double(number) * sin(a))
        let (left, right) = (Double(dy[at]), Double(dy[at + width]))
        dx.append(left * cos(a) + right * sin(a))
        slope.append(Double(number) * (right * cos(a) - left * sin(a)))
      }
    }
  }

  @Test(
    "Learned angles have their phase at any position and width, and rows may be cut anywhere",
    arguments: [1, 3, 8, 16, 17, 40], [0, 1000, 1_000_000, 500_000_000])
  func learned(width: Int, first: Int) {
    let (rows, heads, columns) = (Self.rows, Self.heads, Self.heads * width)
    var draws = Draws(seed: UInt64(width + first))
    let (x, dy) = (draws.normals(rows * columns), draws.normals(2 * rows * columns))
    let theta = draws.normals(columns)
    let position = { first + 7 * $0 }
    let right = Expected(x, dy, width: width) { Double(position($0)) * Double(theta[$1]) }
    var y = [Float](repeating: .nan, count: dy.count)
    for part in [0..<2, 2..<2, 2..<rows] {
      LearnedRotation.forward(
        x, theta: theta, into: &y, rows: part, heads: heads, width: width, position: position)
    }
    #expect(isClose(y, right.y, 3e-7))
    var whole = y
    LearnedRotation.forward(
      x, theta: theta, into: &whole, rows: 0..<rows, heads: heads, width: width, position: position)
    #expect(whole == y)
    var (dx, dTheta) = (
      [Float](repeating: 1, count: x.count), [Double](repeating: 0, count: columns)
    )
    for (range, accumulate) in [(0..<1, true), (1..<heads, true)] {
      LearnedRotation.backward(
        x, theta: theta, dy, into: &dx, dTheta: &dTheta, rows: rows, heads: range, heads: heads,
        width: width, accumulate: accumulate, position: position)
    }
    #expect(isClose(dx, right.dx.map { $0 + 1 }, 6e-7))
    LearnedRotation.backward(
      x, theta: theta, dy, into: &dx, dTheta: &dTheta, rows: rows, heads: 0..<heads, heads: heads,
      width: width, accumulate: false, position: position)
    #expect(isClose(dx, right.dx, 6e-7))
    for column in 0..<columns {
      // Twice, since both passes add to it.
      let terms = (0..<rows).map { 2 * Double(position($0)) * right.slope[$0 * columns + column] }
      let size = terms.reduce(1) { $0 + abs($1) }
      #expect(abs(dTheta[column] - terms.reduce(0, +)) <= 3e-6 * size)
    }
  }

  @Test(
    "Cosine weights have their turn at any position and width", arguments: [1, 3, 8, 16, 17, 40])
  func cosine(width: Int) {
    let (rows, heads) = (Self.rows, Self.heads)
    var draws = Draws(seed: UInt64(width))
    let (x, dy) = (draws.normals(rows * heads * width), draws.normals(2 * rows * heads * width))
    let (kernel, position) = (
      CosineWeights(length: 100, width: width), { @Sendable (row: Int) in 1_000_003 + 31 * row }
    )
    let right = Expected(x, dy, width: width) { row, _ in
      Double.pi * Double(position(row) % 400) / 200
    }
    var y = [Float](repeating: .nan, count: dy.count)
    kernel.forward(x, into: &y, rows: 0..<rows, heads: heads, position: position)
    #expect(isClose(y, right.y, 3e-7))
    var dx = [Float](repeating: 1, count: x.count)
    kernel.backward(
      dy, into: &dx, rows: 0..<rows, heads: heads, accumulate: true, position: position)
    #expect(isClose(dx, right.dx.map { $0 + 1 }, 6e-7))
    kernel.backward(
      dy, into: &dx, rows: 0..<rows, heads: heads, accumulate: false, position: position)
    #expect(isClose(dx, right.dx, 6e-7))
  }
}
