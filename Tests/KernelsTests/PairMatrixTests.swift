import Tensors
import Testing

@testable import Kernels

@Suite("Small products of pairs in bf16")
struct PairMatrixTests {
  private func numbers(_ count: Int, _ seed: Int) -> [Float] {
    (0..<count).map { Float(($0 * 7919 + seed * 104729) % 2003 - 1001) / 777 }
  }

  private func rounded(_ x: Float) -> Double {
    Double(Float(bitPattern: UInt32(BFloat16.rounded(x)) << 16))
  }

  @Test(
    "are packed alike by the CPU's instruction and without it",
    arguments: [1, 2, 9, 16], [1, 2, 15, 16, 31, 32, 33, 70])
  func packing(rows: Int, columns: Int) {
    var x = numbers(rows * columns, 5)
    if rows * columns > 3 { (x[1], x[2]) = (.infinity, .nan) }
    let ld = Lanes.padded(columns)
    func packed(
      _ count: Int, _ body: (UnsafeMutablePointer<UInt32>) -> Void
    ) -> [UInt32] {
      var pairs = [UInt32](repeating: 7, count: count + 16)
      body(&pairs)
      return pairs
    }
    let count = (rows: rows * PairMatrix.count(columns), columns: PairMatrix.count(rows) * ld)
    #expect(
      packed(count.rows) {
        PairMatrix.packRows(x, ld: columns, rows: rows, columns: columns, into: $0)
      }
        == packed(count.rows) {
          PairMatrix.packRowsPlainly(x, ld: columns, rows: rows, columns: columns, into: $0)
        })
    #expect(
      packed(count.columns) {
        PairMatrix.packColumns(
          x, ld: columns, rows: rows, columns: columns, into: $0, pairsLd: ld)
      }
        == packed(count.columns) {
          PairMatrix.packColumnsPlainly(
            x, ld: columns, rows: rows, columns: columns, into: $0, pairsLd: ld)
        })
  }

  @Test(
    "are those of rounded operands, by the CPU's instruction and without it",
    arguments: [(1, 1, 1), (2, 3, 5), (7, 16, 8), (64, 64, 64), (13, 33, 31), (8, 70, 17)],
    [false, true])
  func products(size: (rows: Int, columns: Int, inner: Int), transposed: Bool) {
    let (m, n, k) = size
    let ld = Lanes.padded(n)
    let (a, b, c) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3))
    let factors = numbers(m, 4)
    let pairs = PairMatrix.count(k)
    var left = [UInt32](repeating: 7, count: max(m, Lanes.padded(m)) * max(pairs, 1))
    var right = [UInt32](repeating: 7, count: pairs * ld)
    // A itself, or its transpose, `[k, m]`.
    let leftLd = Lanes.padded(m)
    if transposed {
      let turned = (0..<k * m).map { a[$0 % m * k + $0 / m] }
      PairMatrix.packColumns(turned, ld: m, rows: k, columns: m, into: &left, pairsLd: leftLd)
    } else {
      PairMatrix.packRows(a, ld: k, rows: m, columns: k, into: &left)
    }
    PairMatrix.packColumns(b, ld: n, rows: k, columns: n, into: &right, pairsLd: ld)
    let (row, pair) = transposed ? (1, leftLd) : (pairs, 1)
    for store in 0..<3 {
      var (fast, slow) = (c, c)
      fast.withUnsafeMutableBufferPointer { fast in
        factors.withUnsafeBufferPointer { f in
          let place = fast.baseAddress!
          let store: SmallMatrix.Store =
            store == 0
            ? .replace
            : store == 1 ? .add : .addScaled(UnsafePointer(place), ld: n, by: f.baseAddress!)
          PairMatrix.multiply(
            left, row: row, pair: pair, right, ldb: ld, into: place, ldc: n, rows: m, columns: n,
            pairs: pairs, store: store)
        }
      }
      factors.withUnsafeBufferPointer { f in
        PairMatrix.widened(
          left, row: row, pair: pair, right, ldb: ld, into: &slow, ldc: n, rows: m, columns: n,
          pairs: pairs, adds: store > 0, factors: store == 2 ? f.baseAddress : nil)
      }
      for i in 0..<m {
        for j in 0..<n {
          var (sum, size) = (0.0, 0.0)
          for p in 0..<k {
            let term = rounded(a[i * k + p]) * rounded(b[p * n + j])
            sum += term
            size += abs(term)
          }
          let before = Double(c[i * n + j]) * (store == 2 ? Double(factors[i]) : 1)
          if store > 0 { sum += before }
          let tolerance = 1e-6 * (size + abs(before))
          #expect(abs(Double(fast[i * n + j]) - sum) <= tolerance)
          #expect(abs(Double(slow[i * n + j]) - sum) <= tolerance)
        }
      }
    }
  }

  @Test(
    "of fp32 matrices, rounded on the way, are those of rounded operands, triangular ones too",
    arguments: [(1, 1, 1), (5, 7, 9), (16, 33, 16), (64, 64, 64), (64, 65, 64), (50, 17, 50)],
    [SmallMatrix.Structure.full, .lowerLeft, .upperLeft, .lowerResult])
  func rounding(size: (rows: Int, columns: Int, inner: Int), structure: SmallMatrix.Structure) {
    let (m, n) = (size.rows, size.columns)
    var k = size.inner
    if case .full = structure {} else { k = m }
    var a = numbers(m * k, 1)
    let (b, c) = (numbers(k * n, 2), numbers(m * n, 3))
    for i in 0..<m {
      for p in 0..<k {
        switch structure {
        case .lowerLeft where p > i: a[i * k + p] = 0
        case .upperLeft where p < i: a[i * k + p] = 0
        default: break
        }
      }
    }
    let count = PairMatrix.Scratch.count([m, n, k, k])
    var floats = [Float](repeating: .nan, count: 3 * count)
    for (leftTurned, rightTurned, adds) in [
      (false, false, false), (true, false, true), (false, true, true), (true, true, false),
    ] {
      let left = leftTurned ? (0..<k * m).map { a[$0 % m * k + $0 / m] } : a
      let right = rightTurned ? (0..<k * n).map { b[$0 % k * n + $0 / k] } : b
      var result = c
      floats.withUnsafeMutableBufferPointer {
        PairMatrix.multiply(
          rounding: left, lda: leftTurned ? m : k, transposed: leftTurned, right,
          ldb: rightTurned ? k : n, isRightTransposed: rightTurned, into: &result, ldc: n, rows: m,
          columns: n, inner: k, store: adds ? .add : .replace, structure: structure,
          scratch: PairMatrix.Scratch($0.baseAddress!, count: count))
      }
      for i in 0..<m {
        for j in 0..<n {
          if case .lowerResult = structure, j > i { continue }
          var (sum, size) = (adds ? Double(c[i * n + j]) : 0, 1.0)
          for p in 0..<k {
            let term = rounded(a[i * k + p]) * rounded(b[p * n + j])
            sum += term
            size += abs(term)
          }
          #expect(abs(Double(result[i * n + j]) - sum) <= 1e-6 * size)
        }
      }
    }
  }
}
