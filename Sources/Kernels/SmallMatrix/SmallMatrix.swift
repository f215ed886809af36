/// Products of small row-major fp32 matrices, in registers: what a chunk of a recurrence is made of.
///
/// Sizes from 0 to a few hundred, any leading dimensions; nothing is read or written outside the matrices.
/// A product sums over the inner index in ascending order, one fused multiply-add after another, so its
/// result does not depend on the tile that computes it; a column by itself (a normaliser's) is summed in registers.
enum SmallMatrix {
  /// What becomes of a product `AB`.
  enum Store {
    /// `C ← AB`.
    case replace
    /// `C ← C + AB`, the sum going on from `C`: the same bits as one longer product.
    case add
    /// `C_i ← f_i Y_i + (AB)_i` for each row `i`: `f` has a float a row, `Y` is `source`, which may be `C`.
    case addScaled(UnsafePointer<Float>, ld: Int, by: UnsafePointer<Float>)
  }

  /// Which part of a product is known to be zero or not wanted.
  enum Structure {
    /// All of it counts.
    case full
    /// `A_ip = 0` for `p > i`, and stored as such within 8 columns of the diagonal.
    case lowerLeft
    /// `A_ip = 0` for `p < i`, and stored as such within 8 columns of the diagonal.
    case upperLeft
    /// Only `C_ij` with `j ≤ i` is wanted; some of the others are written too.
    case lowerResult
  }

  /// `C ← AB`, or as `store` says, where `A` is `[rows, inner]` and `B` is `[inner, columns]`.
  ///
  /// - Parameters:
  ///   - lda: Floats from one stored row of `a` to the next; `ldb`, `ldc` likewise.
  ///   - transposed: Whether `a` is stored as `[inner, rows]`. `structure` speaks of `A` as it multiplies.
  @inline(never)
  static func multiply(
    _ a: UnsafePointer<Float>, lda: Int, transposed: Bool = false,
    _ b: UnsafePointer<Float>, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int,
    rows: Int, columns: Int, inner: Int,
    store: Store = .replace, structure: Structure = .full
  ) {
    let product = Product(
      a: a, rowStep: transposed ? 1 : lda, innerStep: transposed ? lda : 1, b: b, ldb: ldb,
      c: c, ldc: ldc, rows: rows, inner: inner, store: store, structure: structure)
    var j = 0
    while j < columns {
      let left = columns - j
      if left >= 2 * Lanes.width {
        if case .lowerResult = structure {
          product.panel1(j, count: Lanes.width, from: j, to: min(j + Lanes.width, rows))
          product.panel2(j, from: j + Lanes.width)
        } else {
          product.panel2(j, from: 0)
        }
        j += 2 * Lanes.width
      } else if left == 1, product.hasColumns {
        product.column(j)
        j += 1
      } else {
        let count = min(left, Lanes.width)
        if case .lowerResult = structure {
          product.panel1(j, count: count, from: j, to: rows)
        } else {
          product.panel1(j, count: count, from: 0, to: rows)
        }
        j += count
      }
    }
  }

  /// `C ← A Bᵀ`, or as `store` says, where `A` is `[rows, inner]` and `B` is `[columns, inner]`.
  ///
  /// - Parameters:
  ///   - scratch: `inner` rows of whole registers of `columns` floats: where `Bᵀ` is put.
  static func multiplyTransposedRight(
    _ a: UnsafePointer<Float>, lda: Int, transposed: Bool = false,
    _ b: UnsafePointer<Float>, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int,
    rows: Int, columns: Int, inner: Int,
    store: Store = .replace, structure: Structure = .full, scratch: UnsafeMutablePointer<Float>
  ) {
    let ld = Lanes.padded(columns)
    transpose(b, ld: ldb, rows: columns, columns: inner, into: scratch, ld: ld)
    multiply(
      a, lda: lda, transposed: transposed, scratch, ldb: ld, into: c, ldc: ldc, rows: rows,
      columns: columns, inner: inner, store: store, structure: structure)
  }
}
