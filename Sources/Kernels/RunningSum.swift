/// Inclusive sums of every channel along time, `y_t = y_{t−1} + x_t`, beginning anew where told; and their twin.
///
/// Sums are Doubles; where there is a period they are kept within half of it, as angles are, so that an `y` in fp32
/// has all its digits however many tokens there are.
package struct RunningSum: Sendable {
  /// Channels of a row.
  package let channels: Int
  /// What sums are counted modulo; nil for plain sums.
  package let period: Double?

  package init(channels: Int, period: Double? = nil) {
    precondition(period.map { $0 > 0 } ?? true, "sums modulo \(period ?? 0)")
    (self.channels, self.period) = (channels, period)
  }

  /// A number without whole periods, at most half of one from zero.
  @inline(__always)
  static func reduced(_ x: Double, period: Double) -> Double {
    x - period * (x / period).rounded(.toNearestOrEven)
  }

  /// The sums of some channels of one row.
  ///
  /// - Parameters:
  ///   - x: `channels` numbers a token.
  ///   - starts: Tokens at which sums begin anew, ascending.
  ///   - initial: The sums before the first token; nil for zero.
  ///   - y: Receives the sums; nil where only the last are wanted.
  ///   - final: Receives the sums after the last token; nil where they are not wanted.
  package func forward(
    _ x: UnsafePointer<Float>, tokens: Int, starts: [Int], initial: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>?, final: UnsafeMutablePointer<Float>?,
    range: Range<Int>
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(range.count, 1)) { sums in
      let sums = sums.baseAddress!
      for c in range { sums[c - range.lowerBound] = initial.map { Double($0[c]) } ?? 0 }
      var starts = starts[...]
      for token in 0..<tokens {
        if starts.first == token {
          sums.update(repeating: 0, count: range.count)
          starts.removeFirst()
        }
        let x = x + token * channels + range.lowerBound
        if let period {
          for c in 0..<range.count {
            sums[c] = Self.reduced(sums[c] + Double(x[c]), period: period)
          }
        } else {
          for c in 0..<range.count { sums[c] += Double(x[c]) }
        }
        guard let y else { continue }
        let target = y + token * channels + range.lowerBound
        for c in 0..<range.count { target[c] = Float(sums[c]) }
      }
      guard let final else { return }
      for c in range { final[c] = Float(sums[c - range.lowerBound]) }
    }
  }

  /// The twin, of some channels of one row: `dx_t = dy_t + dx_{t+1}`, without the last where the sums begin anew after t.
  ///
  /// - Parameters:
  ///   - final: The gradient of the sums after the last token; nil for zero.
  ///   - dx: Receives the gradients, or has them added; nil where only the initial sums' is wanted.
  ///   - initial: Receives the gradient of the sums before the first token; nil where it is not wanted.
  package func backward(
    _ dy: UnsafePointer<Float>, tokens: Int, starts: [Int], final: UnsafePointer<Float>?,
    into dx: UnsafeMutablePointer<Float>?, accumulate: Bool,
    initial: UnsafeMutablePointer<Float>?, range: Range<Int>
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(range.count, 1)) { sums in
      let sums = sums.baseAddress!
      for c in range { sums[c - range.lowerBound] = final.map { Double($0[c]) } ?? 0 }
      var starts = starts[...]
      for token in (0..<tokens).reversed() {
        let at = token * channels + range.lowerBound
        Self.add(dy + at, to: sums, dx.map { $0 + at }, accumulate, range.count)
        if starts.last == token {
          sums.update(repeating: 0, count: range.count)
          starts.removeLast()
        }
      }
      guard let initial else { return }
      for c in range { initial[c] = Float(sums[c - range.lowerBound]) }
    }
  }

  /// A token's step back.
  ///
  /// Not inlined: whether the places lie apart would be asked once for all tokens, which fails where these run backwards, and
  /// nothing would be made of vector instructions.
  @inline(never)
  private static func add(
    _ dy: UnsafePointer<Float>, to sums: UnsafeMutablePointer<Double>,
    _ dx: UnsafeMutablePointer<Float>?, _ accumulate: Bool, _ count: Int
  ) {
    for c in 0..<count { sums[c] += Double(dy[c]) }
    guard let dx else { return }
    if accumulate {
      for c in 0..<count { dx[c] += Float(sums[c]) }
    } else {
      for c in 0..<count { dx[c] = Float(sums[c]) }
    }
  }
}
