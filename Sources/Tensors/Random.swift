import Glibc

/// Counter-based random numbers: every draw is a pure function of (seed, purpose, index).
///
/// Concretely: Philox 4×32-10 with the seed as key and (index, purpose) as counter, so that no draw
/// depends on the rank, the rank count or the history.
///
/// - Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).
package struct Random: Sendable {
  private let key: (UInt32, UInt32)
  private let purpose: UInt64

  /// Makes the stream of one purpose.
  ///
  /// - Parameters:
  ///   - seed: The run's seed.
  ///   - purpose: What the numbers are for; streams of different purposes are independent.
  package init(seed: UInt64, purpose: UInt64) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.purpose = purpose
  }

  /// The 128 random bits at `index`, as four words.
  package func bits(at index: UInt64) -> SIMD4<UInt32> {
    Random.philox(
      counter: [
        UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
        UInt32(truncatingIfNeeded: purpose), UInt32(truncatingIfNeeded: purpose >> 32),
      ], key: key)
  }

  /// A number in [0, 1) with 53 random bits.
  package func uniform(at index: UInt64) -> Double {
    let words = bits(at: index)
    return Random.unit(words[0], words[1])
  }

  /// An integer in `0..<bound`; the bias is below `bound / 2^64`.
  package func integer(below bound: Int, at index: UInt64) -> Int {
    precondition(bound > 0, "a random integer below \(bound) does not exist")
    let words = bits(at: index)
    let word = UInt64(words[0]) | UInt64(words[1]) << 32
    return Int(word.multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A standard normal number (Box–Muller, in Double).
  package func normal(at index: UInt64) -> Double {
    let words = bits(at: index)
    let radius = (-2 * log(1 - Random.unit(words[0], words[1]))).squareRoot()
    return radius * cos(2 * Double.pi * Random.unit(words[2], words[3]))
  }

  private static func unit(_ low: UInt32, _ high: UInt32) -> Double {
    Double((UInt64(low) | UInt64(high) << 32) >> 11) * 0x1p-53
  }

  static func philox(counter: SIMD4<UInt32>, key: (UInt32, UInt32)) -> SIMD4<UInt32> {
    var (c0, c1, c2, c3) = (counter[0], counter[1], counter[2], counter[3])
    var (k0, k1) = key
    for _ in 0..<10 {
      let a = UInt64(c0) * 0xD251_1F53
      let b = UInt64(c2) * 0xCD9E_8D57
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: b >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: a)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return [c0, c1, c2, c3]
  }
}
