/// Tells whether numbers are finite, by one pass that reads them.
package enum FiniteNumbers {
  /// Whether no number of a range is infinite or NaN.
  ///
  /// Concretely: `0 · x` is 0 for what is finite and NaN for all else, and one sum vectorises where a search does not.
  package static func fill(_ numbers: UnsafePointer<Float>, count: Int) -> Bool {
    let raw = UnsafeRawPointer(numbers)
    @inline(__always) func load(_ i: Int) -> SIMD8<Float> {
      raw.loadUnaligned(fromByteOffset: i * 4, as: SIMD8<Float>.self)
    }
    var (s0, s1, s2, s3) = (SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>())
    let zero = SIMD8<Float>()
    var i = 0
    while i + 32 <= count {
      s0 = s0.addingProduct(load(i), zero)
      s1 = s1.addingProduct(load(i + 8), zero)
      s2 = s2.addingProduct(load(i + 16), zero)
      s3 = s3.addingProduct(load(i + 24), zero)
      i += 32
    }
    var sum = ((s0 + s1) + (s2 + s3)).sum()
    while i < count {
      sum += 0 * numbers[i]
      i += 1
    }
    return sum == 0
  }
}
