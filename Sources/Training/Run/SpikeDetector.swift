/// Tells a value that stands out of those before it by its robust z-score.
///
/// Concretely: `z = 0.6745 (x − median) / MAD` over the values of a window, `MAD` the median distance from their median,
/// which is taken to be no less than a thousandth of the median. Only what is greater stands out.
///
/// - Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993), the modified z-score.
struct SpikeDetector: Sendable, Equatable {
  /// Values that are looked back on.
  let window: Int
  /// The score above which a value stands out.
  let threshold: Double
  /// The last values, oldest first.
  private(set) var values: [Double]

  /// - Parameter values: Those that have come before; the last are kept.
  init(window: Int, threshold: Double, values: [Double] = []) {
    (self.window, self.threshold) = (window, threshold)
    self.values = values.suffix(window)
  }

  /// A value that stands out: the median of the window, and its score.
  struct Score: Sendable, Equatable {
    let median, score: Double
  }

  /// Takes note of a finite value; gives its score where it stands out.
  ///
  /// Nothing stands out before half the window is known. What stands out is noted as well: half a window of it is a new level.
  mutating func note(_ value: Double) -> Score? {
    defer { values = values.suffix(window - 1) + [value] }
    guard 2 * values.count >= window else { return nil }
    let median = Self.median(values)
    let deviation = Self.median(values.map { abs($0 - median) })
    let score =
      0.6745 * (value - median)
      / max(deviation, 1e-3 * abs(median), .leastNormalMagnitude)
    return score > threshold ? Score(median: median, score: score) : nil
  }

  private static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1
      ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}
