import COpenBLAS

/// Dense matrix products in fp32, by OpenBLAS.
package enum BLAS {
  /// `C ← alpha·op(A)·op(B) + beta·C`, all row-major.
  ///
  /// - Parameters:
  ///   - transposeA: Whether `a` is stored as `[k, m]` rather than `[m, k]`.
  ///   - transposeB: Whether `b` is stored as `[n, k]` rather than `[k, n]`.
  ///   - lda: Elements from one stored row of `a` to the next; `ldb`, `ldc` likewise.
  package static func multiply(
    _ a: UnsafePointer<Float>, transposeA: Bool = false, lda: Int,
    _ b: UnsafePointer<Float>, transposeB: Bool = false, ldb: Int,
    into c: UnsafeMutablePointer<Float>, ldc: Int,
    m: Int, n: Int, k: Int, alpha: Float = 1, beta: Float = 0
  ) {
    guard m > 0, n > 0 else { return }
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans,
      transposeB ? CblasTrans : CblasNoTrans, Int32(m), Int32(n), Int32(k), alpha, a,
      Int32(max(lda, 1)), b, Int32(max(ldb, 1)), beta, c, Int32(max(ldc, 1)))
  }

  /// How many threads OpenBLAS uses from now on; one where ranks are threads.
  package static func setThreads(_ threads: Int) { openblas_set_num_threads(Int32(threads)) }

  /// How many threads OpenBLAS uses now.
  package static var threads: Int { Int(openblas_get_num_threads()) }

  /// The CPU family whose kernels OpenBLAS chose, such as `SkylakeX`.
  package static var coreName: String { String(cString: openblas_get_corename()) }
}
