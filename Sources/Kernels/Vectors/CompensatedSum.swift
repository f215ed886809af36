/// A register of running sums, each with what its rounding lost: about 48 bits of mantissa, enough that a
/// sum of log decays is as good as one in Double.
struct CompensatedSum {
  /// The rounded sums.
  var high = Lanes()
  /// What `high` lacks.
  var low = Lanes()

  /// Adds a number to each.
  @inline(__always)
  mutating func add(_ x: Lanes) {
    let sum = high + x
    let part = sum - high
    low += (high - (sum - part)) + (x - part)
    high = sum
  }

  /// `e^sum`.
  @inline(__always)
  var exponential: Lanes {
    let y = Lanes.exp(high)
    return y.addingProduct(y, low)
  }
}
