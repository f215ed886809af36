/// Products of fp32 matrices whose numbers are rounded to pairs on the way: what `SmallMatrix` computes, of bf16 operands.
extension PairMatrix {
  /// Memory in which matrices become pairs.
  struct Scratch {
    /// Pairs of the left operand, and of the right one; each also before it is transposed.
    fileprivate let left, right, other: UnsafeMutablePointer<Pair>

    /// Divides `3 * count(…)` floats.
    init(_ floats: UnsafeMutablePointer<Float>, count: Int) {
      left = UnsafeMutableRawPointer(floats).assumingMemoryBound(to: Pair.self)
      (right, other) = (left + count, left + 2 * count)
    }

    /// Pairs of the largest matrix whose sides are two of these, in whole registers.
    static func count(_ sides: [Int]) -> Int {
      let largest = sides.sorted().suffix(2).map(Lanes.padded)
      return largest.reduce(1, *) / 2
    }
  }

  /// Rows of a triangular operand or result that are multiplied at once.
  private static let height = hasTiles ? 32 : 16

  /// `C ← AB`, or as `store` says, where `A` is `[rows, inner]` and `B` is `[inner, columns]`; sums are fp32.
  ///
  /// - Parameters:
  ///   - transposed: Whether `a` is stored as `[inner, rows]`; `isRightTransposed`, whether `b` is as `[columns, inner]`.
  ///   - structure: Speaks of `A` as it multiplies.
  @inline(never)
  static func multiply(
    rounding a: UnsafePointer<Float>, lda: Int, transposed: Bool = false,
    _ b: UnsafePointer<Float>, ldb: Int, isRightTransposed: Bool = false,
    into c: UnsafeMutablePointer<Float>, ldc: Int,
    rows: Int, columns: Int, inner: Int,
    store: SmallMatrix.Store = .replace, structure: SmallMatrix.Structure = .full,
    scratch: Scratch
  ) {
    guard rows > 0, columns > 0 else { return }
    let pairs = count(inner)
    let (left, row, pair) = packLeft(
      a, lda: lda, transposed: transposed, rows: rows, inner: inner, structure, scratch)
    let ld = Lanes.padded(columns)
    if isRightTransposed {
      packRows(b, ld: ldb, rows: columns, columns: inner, into: scratch.other)
      transpose(
        scratch.other, ld: pairs, rows: columns, columns: pairs, into: scratch.right, ld: ld)
    } else {
      packColumns(b, ld: ldb, rows: inner, columns: columns, into: scratch.right, pairsLd: ld)
    }
    func multiply(_ part: Range<Int>, columns: Int, pairs: Range<Int>) {
      let store =
        switch store {
        case .addScaled(let source, let sourceLd, let factors):
          SmallMatrix.Store.addScaled(
            source + part.lowerBound * sourceLd, ld: sourceLd, by: factors + part.lowerBound)
        default: store
        }
      self.multiply(
        left + part.lowerBound * row + pairs.lowerBound * pair, row: row, pair: pair,
        scratch.right + pairs.lowerBound * ld, ldb: ld, into: c + part.lowerBound * ldc, ldc: ldc,
        rows: part.count, columns: columns, pairs: pairs.count, store: store)
    }
    if case .full = structure {
      return multiply(0..<rows, columns: columns, pairs: 0..<pairs)
    }
    for start in stride(from: 0, to: rows, by: height) {
      let end = min(start + height, rows)
      switch structure {
      case .lowerResult:
        multiply(start..<end, columns: min(columns, start + height), pairs: 0..<pairs)
      case .lowerLeft:
        multiply(
          start..<end, columns: columns, pairs: 0..<min(pairs, count(start + height)))
      case .upperLeft:
        multiply(start..<end, columns: columns, pairs: min(start / 2, pairs)..<pairs)
      case .full: break
      }
    }
  }

  /// The left operand's pairs, and the steps from row to row and from pair to pair; what its structure says is zero is 0.
  private static func packLeft(
    _ a: UnsafePointer<Float>, lda: Int, transposed: Bool, rows: Int, inner: Int,
    _ structure: SmallMatrix.Structure, _ scratch: Scratch
  ) -> (pairs: UnsafeMutablePointer<Pair>, row: Int, pair: Int) {
    let (pairs, W) = (count(inner), Lanes.width)
    guard transposed else {
      packRows(a, ld: lda, rows: rows, columns: inner, into: scratch.left)
      if case .lowerLeft = structure {
        for i in 0..<rows { clear(scratch.left + i * pairs, from: (i / W + 1) * W / 2, to: pairs) }
      }
      return (scratch.left, pairs, 1)
    }
    let ld = Lanes.padded(rows)
    let packed = hasTiles ? scratch.other : scratch.left
    packColumns(a, ld: lda, rows: inner, columns: rows, into: packed, pairsLd: ld)
    if case .upperLeft = structure {
      for p in 0..<pairs { clear(packed + p * ld, from: (2 * p / W + 1) * W, to: ld) }
    }
    guard hasTiles else { return (packed, 1, ld) }
    // Tiles read pairs that are neighbours.
    transpose(packed, ld: ld, rows: pairs, columns: rows, into: scratch.left, ld: pairs)
    return (scratch.left, pairs, 1)
  }

  private static func clear(_ row: UnsafeMutablePointer<Pair>, from start: Int, to end: Int) {
    if start < end { (row + start).update(repeating: 0, count: end - start) }
  }

  /// Bits that are moved only.
  private static func transpose(
    _ pairs: UnsafeMutablePointer<Pair>, ld: Int, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Pair>, ld targetLd: Int
  ) {
    SmallMatrix.transpose(
      UnsafeMutableRawPointer(pairs).assumingMemoryBound(to: Float.self), ld: ld, rows: rows,
      columns: columns, into: UnsafeMutableRawPointer(target).assumingMemoryBound(to: Float.self),
      ld: targetLd)
  }
}
