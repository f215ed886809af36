import Testing

@testable import Kernels

/// A matrix of small integers inside a larger one full of NaN, so that nothing outside may be used, and
/// sums are exact.
private struct Padded {
  let rows, columns, ld: Int
  let store: UnsafeMutablePointer<Float>
  static let margin = 64

  init(_ rows: Int, _ columns: Int, extra: Int, _ value: (Int, Int) -> Float) {
    (self.rows, self.columns, ld) = (rows, columns, columns + extra)
    store = .allocate(capacity: rows * ld + 2 * Padded.margin)
    store.update(repeating: .nan, count: rows * ld + 2 * Padded.margin)
    for i in 0..<rows { for j in 0..<columns { base[i * ld + j] = value(i, j) } }
  }

  var base: UnsafeMutablePointer<Float> { store + Padded.margin }
  subscript(i: Int, j: Int) -> Float { base[i * ld + j] }

  /// Whether everything outside is still NaN.
  var isIntact: Bool {
    for x in 0..<rows * ld + 2 * Padded.margin {
      let y = x - Padded.margin
      let inside = y >= 0 && y < rows * ld && y % ld < columns
      if !inside && !store[x].isNaN { return false }
    }
    return true
  }
}

private func integer(_ i: Int, _ j: Int, _ seed: Int) -> Float {
  Float((i &* 31 &+ j &* 17 &+ seed &* 7 &+ i &* j) % 11 - 5)
}

private let sizes: [(Int, Int, Int)] = [
  (1, 1, 1), (0, 5, 3), (5, 0, 3), (5, 3, 0), (8, 32, 16), (7, 33, 5), (13, 15, 1), (64, 64, 64),
  (65, 47, 31), (1, 256, 3), (256, 1, 2), (31, 100, 200), (12, 16, 9), (9, 31, 17), (66, 129, 65),
]

@Suite struct SmallMatrixTests {
  @Test("products of every size, stored in every way, are exact and stay inside", arguments: sizes)
  func products(m: Int, n: Int, p: Int) {
    for transposed in [false, true] {
      for mode in 0..<3 {
        let a =
          transposed
          ? Padded(p, m, extra: 3) { integer($1, $0, 1) }
          : Padded(m, p, extra: 3) { integer($0, $1, 1) }
        let b = Padded(p, n, extra: 1) { integer($0, $1, 2) }
        let c = Padded(m, n, extra: 2) { integer($0, $1, 3) }
        let y = Padded(m, n, extra: 5) { integer($0, $1, 4) }
        let f = Padded(1, m, extra: 0) { integer($0, $1, 5) }
        let store: SmallMatrix.Store =
          [.replace, .add, .addScaled(y.base, ld: y.ld, by: f.base)][mode]
        SmallMatrix.multiply(
          a.base, lda: a.ld, transposed: transposed, b.base, ldb: b.ld, into: c.base, ldc: c.ld,
          rows: m, columns: n, inner: p, store: store)
        var wrong = 0
        for i in 0..<m {
          for j in 0..<n {
            var sum: Float = 0
            for x in 0..<p { sum += integer(i, x, 1) * integer(x, j, 2) }
            let old = integer(i, j, 3)
            let expected = [sum, old + sum, f[0, i] * y[i, j] + sum][mode]
            if c[i, j] != expected { wrong += 1 }
          }
        }
        #expect(wrong == 0, "\(m)×\(p)×\(n), transposed \(transposed), mode \(mode)")
        #expect(a.isIntact && b.isIntact && c.isIntact)
      }
    }
  }

  @Test("the half that is zero may be left out", arguments: [1, 7, 8, 16, 17, 33, 64, 100, 128])
  func triangles(n: Int) {
    for transposed in [false, true] {
      let lower = Padded(n, n, extra: 2) { $0 >= $1 ? integer($0, $1, 1) : 0 }
      let b = Padded(n, 37, extra: 0) { integer($0, $1, 2) }
      let c = Padded(n, 37, extra: 0) { _, _ in 0 }
      SmallMatrix.multiply(
        lower.base, lda: lower.ld, transposed: transposed, b.base, ldb: b.ld, into: c.base,
        ldc: c.ld, rows: n, columns: 37, inner: n, structure: transposed ? .upperLeft : .lowerLeft)
      var wrong = 0
      for i in 0..<n {
        for j in 0..<37 {
          var sum: Float = 0
          for x in 0..<n { sum += (transposed ? lower[x, i] : lower[i, x]) * b[x, j] }
          if c[i, j] != sum { wrong += 1 }
        }
      }
      #expect(wrong == 0, "transposed \(transposed)")
    }
    let a = Padded(n, 9, extra: 0) { integer($0, $1, 1) }
    let b = Padded(n, 9, extra: 0) { integer($0, $1, 2) }
    let c = Padded(n, n, extra: 0) { _, _ in 0 }
    let scratch = UnsafeMutablePointer<Float>.allocate(
      capacity: Lanes.padded(n) * 9)
    SmallMatrix.multiplyTransposedRight(
      a.base, lda: a.ld, b.base, ldb: b.ld, into: c.base, ldc: c.ld, rows: n, columns: n,
      inner: 9, structure: .lowerResult, scratch: scratch)
    var wrong = 0
    for i in 0..<n {
      for j in 0...i {
        var sum: Float = 0
        for x in 0..<9 { sum += a[i, x] * b[j, x] }
        if c[i, j] != sum { wrong += 1 }
      }
    }
    #expect(wrong == 0 && c.isIntact)
  }

  @Test("a transpose is one, and stays inside", arguments: sizes)
  func transpose(m: Int, n: Int, p: Int) {
    let a = Padded(m, n, extra: 3) { integer($0, $1, p) }
    let b = Padded(n, m, extra: 2) { _, _ in 0 }
    SmallMatrix.transpose(a.base, ld: a.ld, rows: m, columns: n, into: b.base, ld: b.ld)
    var wrong = 0
    for i in 0..<m { for j in 0..<n where b[j, i] != a[i, j] { wrong += 1 } }
    #expect(wrong == 0 && b.isIntact)
  }
}
