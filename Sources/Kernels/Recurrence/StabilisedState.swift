import Foundation

/// Sums that are stored divided by the exponential of a maximum, which stands behind them.
///
/// The composition of two shards in a row is associative, as it is that of `e^m` times the sums, which is affine; the
/// maximum only says by what they are divided. Where nothing has come, the maximum is −∞.
enum StabilisedState {
  /// `e^{G+m−m'} S + e^{μ−m'} C` behind `m' = max(G + m, μ)`, for a state `(S, m)` and a shard `(G, μ, C)`.
  ///
  /// - Parameters:
  ///   - count: Floats of `S` and `C`, behind which `m` and `μ` stand.
  ///   - output: May be either of the two.
  static func combine(
    logDecay: Double, _ state: UnsafePointer<Float>, adding sum: UnsafePointer<Float>, count: Int,
    into output: UnsafeMutablePointer<Float>
  ) {
    let (before, own) = (logDecay + Double(state[count]), sum[count])
    let after = max(Float(before), own)
    // −∞ − −∞ is no number: nothing on either side gives nothing.
    if after == -.infinity {
      output.update(repeating: 0, count: count)
      return output[count] = after
    }
    let kept = factor(before - Double(after))
    let added = factor(Double(own) - Double(after))
    Rows.combine(state, by: kept, sum, by: added, count: count, into: output)
    output[count] = after
  }

  /// `f D + E`, and of the last number `D + E` where `map` is positive, else `E`: `f` is `map`'s magnitude.
  static func combineAdjoint(
    _ map: Float, _ state: UnsafePointer<Float>, adding sum: UnsafePointer<Float>, count: Int,
    into output: UnsafeMutablePointer<Float>
  ) {
    let last = map.sign == .plus ? sum[count] + state[count] : sum[count]
    Rows.combine(state, by: map.magnitude, sum, by: 1, count: count, into: output)
    output[count] = last
  }

  /// `e^x`, also of −∞.
  static func factor(_ x: Double) -> Float { x < -100 ? 0 : expOf(x) }
}
