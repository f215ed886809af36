/// A chunk's products: of fp32 numbers, or of numbers rounded to bf16, with sums in fp32.
protocol ChunkProducts {
  /// Whether operands are rounded: where queries, keys and values are stored so.
  var isRounded: Bool { get }
  /// Where operands are rounded to.
  var rounded: PairMatrix.Scratch { get }
}

extension ChunkProducts {
  /// See `SmallMatrix.multiply`.
  @inline(__always)
  func multiply(
    _ a: UnsafePointer<Float>, lda: Int, transposed: Bool = false,
    _ b: UnsafePointer<Float>, ldb: Int, into c: UnsafeMutablePointer<Float>, ldc: Int, rows: Int,
    columns: Int, inner: Int, store: SmallMatrix.Store = .replace,
    structure: SmallMatrix.Structure = .full
  ) {
    guard isRounded else {
      return SmallMatrix.multiply(
        a, lda: lda, transposed: transposed, b, ldb: ldb, into: c, ldc: ldc, rows: rows,
        columns: columns, inner: inner, store: store, structure: structure)
    }
    PairMatrix.multiply(
      rounding: a, lda: lda, transposed: transposed, b, ldb: ldb, into: c, ldc: ldc, rows: rows,
      columns: columns, inner: inner, store: store, structure: structure, scratch: rounded)
  }

  /// See `SmallMatrix.multiplyTransposedRight`.
  @inline(__always)
  func multiplyTransposedRight(
    _ a: UnsafePointer<Float>, lda: Int, _ b: UnsafePointer<Float>, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int, rows: Int, columns: Int, inner: Int,
    store: SmallMatrix.Store = .replace, structure: SmallMatrix.Structure = .full,
    scratch: UnsafeMutablePointer<Float>
  ) {
    guard isRounded else {
      return SmallMatrix.multiplyTransposedRight(
        a, lda: lda, b, ldb: ldb, into: c, ldc: ldc, rows: rows, columns: columns, inner: inner,
        store: store, structure: structure, scratch: scratch)
    }
    PairMatrix.multiply(
      rounding: a, lda: lda, b, ldb: ldb, isRightTransposed: true, into: c, ldc: ldc, rows: rows,
      columns: columns, inner: inner, store: store, structure: structure, scratch: rounded)
  }
}
