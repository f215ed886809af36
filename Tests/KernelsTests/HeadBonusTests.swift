import ReferenceMath
import Testing

@testable import Kernels

@Suite("Bonuses of heads, and distances of rows")
struct HeadBonusTests {
  @Test(
    "A token's own key and value add what the formula says, and so do their gradients",
    arguments: [(1, 1), (3, 5), (8, 16), (17, 33), (40, 24)])
  func bonus(K: Int, V: Int) {
    let heads = 2
    var draws = Draws(seed: UInt64(100 * K + V))
    let (q, k, u) = (draws.normals(heads * K), draws.normals(heads * K), draws.normals(heads * K))
    let (v, o, dy) = (draws.normals(heads * V), draws.normals(heads * V), draws.normals(heads * V))
    var (right, dv) = ([Double](), [Double]())
    var (dq, dk, du) = ([Double](), [Double](), [Double]())
    for head in 0..<heads {
      let (keys, values) = (head * K..<(head + 1) * K, head * V..<(head + 1) * V)
      let s = keys.reduce(0) { $0 + Double(q[$1]) * Double(u[$1]) * Double(k[$1]) }
      let delta = values.reduce(0) { $0 + Double(dy[$1]) * Double(v[$1]) }
      for i in values {
        right.append(Double(o[i]) + s * Double(v[i]))
        dv.append(s * Double(dy[i]))
      }
      for i in keys {
        dq.append(delta * Double(u[i]) * Double(k[i]))
        dk.append(delta * Double(u[i]) * Double(q[i]))
        du.append(1 + delta * Double(q[i]) * Double(k[i]))
      }
    }
    let kernel = HeadBonus(heads: heads, keyWidth: K, valueWidth: V)
    var y = [Float](repeating: .nan, count: heads * V)
    kernel.forward(q: q, k: k, v: v, weight: u, residual: o, into: &y)
    #expect(isClose(y, right, 1e-5))
    var (gotQ, gotK) = (
      [Float](repeating: .nan, count: heads * K), [Float](repeating: .nan, count: heads * K)
    )
    var (gotV, gotU) = (
      [Float](repeating: .nan, count: heads * V), [Float](repeating: 1, count: heads * K)
    )
    kernel.backward(
      q: q, k: k, v: v, weight: u, dy, dq: &gotQ, dk: &gotK, dv: &gotV, dWeight: &gotU)
    #expect(isClose(gotQ, dq, 1e-5) && isClose(gotK, dk, 1e-5))
    #expect(isClose(gotV, dv, 1e-5) && isClose(gotU, du, 1e-5))
  }

  @Test("Squared distances and their gradients, whatever the width", arguments: [1, 7, 8, 17, 40])
  func distances(columns: Int) {
    let rows = 3
    var draws = Draws(seed: UInt64(columns))
    let (y, t) = (draws.normals(rows * columns), draws.normals(rows * columns))
    var (losses, dy) = (
      [Double](repeating: 1, count: rows), [Float](repeating: .nan, count: rows * columns)
    )
    SquaredDifference.add(
      y, t, factor: 0.25, columns: columns, rows: 0..<rows, losses: &losses, dy: &dy)
    SquaredDifference.add(
      y, t, factor: 0.25, columns: columns, rows: 1..<2, losses: &losses, dy: nil)
    let differences = zip(y, t).map { Double($0 - $1) }
    #expect(isClose(dy, differences.map { 0.5 * $0 }, 1e-7))
    for row in 0..<rows {
      let squares = differences[row * columns..<(row + 1) * columns].reduce(0) { $0 + $1 * $1 }
      #expect(abs(losses[row] - 1 - (row == 1 ? 0.5 : 0.25) * squares) < 1e-13 * (1 + squares))
    }
  }
}
