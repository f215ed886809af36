import CBFloat16

/// Products of small matrices whose operands are rounded to bf16 and stand in pairs along the inner index; sums are fp32.
///
/// CPUs that multiply such pairs do so at twice the rate of fp32; on others pairs are widened, which gives the same but for
/// the order of sums.
enum PairMatrix {
  /// Two bf16 numbers, the first in the lower half.
  typealias Pair = UInt32

  /// Whether this CPU multiplies pairs, and the program is built for registers as wide as those that do.
  static let isMultiplied = Lanes.width == 16 && lasp_pairs_available() != 0

  /// Whether this CPU multiplies whole tiles of pairs.
  static let hasTiles = isMultiplied && lasp_tiles_request() != 0

  /// Pairs that so many numbers fill.
  static func count(_ numbers: Int) -> Int { (numbers + 1) / 2 }

  /// Rounds `[rows, columns]` to pairs of neighbours in a row, `[rows, count(columns)]`; an odd last stands beside 0.
  static func packRows(
    _ x: UnsafePointer<Float>, ld: Int, rows: Int, columns: Int,
    into pairs: UnsafeMutablePointer<Pair>
  ) {
    if isMultiplied {
      lasp_pairs_pack_rows(x, ld, rows, columns, pairs)
    } else {
      packRowsPlainly(x, ld: ld, rows: rows, columns: columns, into: pairs)
    }
  }

  /// The same for any CPU.
  static func packRowsPlainly(
    _ x: UnsafePointer<Float>, ld: Int, rows: Int, columns: Int,
    into pairs: UnsafeMutablePointer<Pair>
  ) {
    let (width, whole) = (count(columns), columns / Lanes.width * Lanes.width)
    for row in 0..<rows {
      let source = x + row * ld
      let target = UnsafeMutableRawPointer(pairs + row * width).assumingMemoryBound(
        to: UInt16.self)
      var j = 0
      while j < whole {
        UInt16.store(Lanes.load(source + j), target + j, count: Lanes.width)
        j &+= Lanes.width
      }
      if j < columns {
        UInt16.store(Lanes.load(source + j, count: columns - j), target + j, count: columns - j)
      }
      if columns % 2 == 1 { target[columns] = 0 }
    }
  }

  /// Rounds `[rows, columns]` to pairs of neighbours in a column, `[count(rows), ld]`; an odd last row stands beside 0.
  ///
  /// - Parameter pairsLd: Pairs from one row of them to the next: whole registers, which are written.
  static func packColumns(
    _ x: UnsafePointer<Float>, ld: Int, rows: Int, columns: Int,
    into pairs: UnsafeMutablePointer<Pair>, pairsLd: Int
  ) {
    if isMultiplied {
      lasp_pairs_pack_columns(x, ld, rows, columns, pairs, pairsLd)
    } else {
      packColumnsPlainly(x, ld: ld, rows: rows, columns: columns, into: pairs, pairsLd: pairsLd)
    }
  }

  /// The same for any CPU.
  static func packColumnsPlainly(
    _ x: UnsafePointer<Float>, ld: Int, rows: Int, columns: Int,
    into pairs: UnsafeMutablePointer<Pair>, pairsLd: Int
  ) {
    for i in 0..<count(rows) {
      let (first, target) = (x + 2 * i * ld, pairs + i * pairsLd)
      let hasSecond = 2 * i + 1 < rows
      var j = 0
      while j < columns {
        let n = min(Lanes.width, columns &- j)
        let low = Lanes.load(first + j, count: n)
        let high = hasSecond ? Lanes.load(first + ld + j, count: n) : Lanes()
        Lanes.pairs(low, high).store(target + j)
        j &+= Lanes.width
      }
    }
  }

  /// `C ← AB`, or as `store` says.
  ///
  /// - Parameters:
  ///   - a: Pairs of the left operand's rows, `row` apart from one row to the next, `pair` along the inner index.
  ///   - b: `[pairs, ldb]`, of which whole registers are read.
  ///   - pairs: The inner index's pairs.
  static func multiply(
    _ a: UnsafePointer<Pair>, row: Int, pair: Int, _ b: UnsafePointer<Pair>, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int, rows: Int, columns: Int, pairs: Int,
    store: SmallMatrix.Store = .replace
  ) {
    let (kind, factors): (Int32, UnsafePointer<Float>?)
    switch store {
    case .replace: (kind, factors) = (Int32(lasp_pairs_replace), nil)
    case .add: (kind, factors) = (Int32(lasp_pairs_add), nil)
    case .addScaled(let source, let ld, let by):
      precondition(source == UnsafePointer(c) && ld == ldc, "pairs added to another matrix")
      (kind, factors) = (Int32(lasp_pairs_scale), by)
    }
    if hasTiles, pair == 1, pairs % 16 == 0, min(rows, columns, pairs) >= 16 {
      let (m, n) = (rows & ~15, columns & ~15)
      lasp_tiles_multiply(a, row, b, ldb, c, ldc, m, n, pairs, kind, factors)
      if n < columns {
        lasp_pairs_multiply(
          a, row, pair, b + n, ldb, c + n, ldc, m, columns - n, pairs, kind, factors)
      }
      if m < rows {
        lasp_pairs_multiply(
          a + m * row, row, pair, b, ldb, c + m * ldc, ldc, rows - m, columns, pairs, kind,
          factors.map { $0 + m })
      }
    } else if isMultiplied {
      lasp_pairs_multiply(
        a, row, pair, b, ldb, c, ldc, rows, columns, pairs, kind, factors)
    } else {
      widened(
        a, row: row, pair: pair, b, ldb: ldb, into: c, ldc: ldc, rows: rows, columns: columns,
        pairs: pairs, adds: kind != Int32(lasp_pairs_replace), factors: factors)
    }
  }

  /// The same by fp32, for any CPU.
  static func widened(
    _ a: UnsafePointer<Pair>, row: Int, pair: Int, _ b: UnsafePointer<Pair>, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int, rows: Int, columns: Int, pairs: Int,
    adds: Bool, factors: UnsafePointer<Float>?
  ) {
    for r in 0..<rows {
      var j = 0
      while j < columns {
        let n = min(Lanes.width, columns &- j)
        var sum = Lanes()
        for i in 0..<pairs {
          let left = a[r &* row &+ i &* pair]
          let (low, high) = Lanes.halves(b + (i &* ldb &+ j))
          sum = sum.addingProduct(Lanes(repeating: Float(bitPattern: left &<< 16)), low)
            .addingProduct(Lanes(repeating: Float(bitPattern: left & 0xFFFF_0000)), high)
        }
        let place = c + (r &* ldc &+ j)
        if adds {
          let factor = Lanes(repeating: factors.map { $0[r] } ?? 1)
          sum = sum.addingProduct(factor, Lanes.load(place, count: n))
        }
        sum.store(place, count: n)
        j &+= Lanes.width
      }
    }
  }
}
