import CBFloat16

/// A weight's gradient from bf16 rows, by an instruction that multiplies pairs of bf16 numbers.
///
/// Both operands are read as pairs of neighbouring tokens, which takes a permutation of two registers, where a library that reads one of
/// them row by row transposes it: on Zen 4 it is 1.05 to 1.11 times as fast as oneDNN 2.6.
enum PairedGradient {
  /// Whether the CPU multiplies pairs and no tiles of them, by which oneDNN is faster.
  static let isFaster = lasp_pairs_available() != 0 && lasp_tiles_request() == 0

  /// What a thread works in.
  static let scratchBytes = Int(lasp_outer_bytes)

  /// `dW ← dW + dyᵀ x` for a part of the rows of `dW`.
  ///
  /// Concretely: tokens are summed 256 at a time, in their order, whatever the part.
  ///
  /// - Parameters:
  ///   - dy: Shape `[count, rows]`.
  ///   - x: Shape `[count, columns]`.
  ///   - dW: Shape `[rows, columns]`.
  ///   - scratch: `scratchBytes`, aligned to 64 bytes.
  static func add(
    _ dy: UnsafePointer<UInt16>, _ x: UnsafePointer<UInt16>, to dW: UnsafeMutablePointer<Float>,
    _ part: Range<Int>, rows: Int, columns: Int, count: Int, scratch: UnsafeMutablePointer<Float>
  ) {
    lasp_pairs_add_outer(
      dy + part.lowerBound, rows, x, columns, dW + part.lowerBound * columns, columns, part.count,
      columns, count, UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: UInt32.self))
  }
}
