import Foundation

/// How far rotary positions turn each pair of a head's numbers from token to token.
package struct RotaryFrequencies: Hashable, Sendable {
  /// ω, radians a token: one for each of the `d/2` pairs.
  package let radians: [Double]
  /// What cosines and sines are multiplied by.
  package let magnitude: Double

  package init(_ radians: [Double], magnitude: Double = 1) {
    (self.radians, self.magnitude) = (radians, magnitude)
  }

  /// `ω_j = base^(−2j/d)`.
  ///
  /// - Parameter d: The numbers of a head that turn; where it is odd one more turns, by a frequency of its own.
  /// - Source: "RoFormer" (arXiv 2104.09864), section 3.2.2.
  package init(dimension d: Int, base: Double) {
    self.init((0..<(d + 1) / 2).map { pow(base, -2 * Double($0) / Double(d)) })
  }

  /// Whether all numbers are finite.
  package var isFinite: Bool { magnitude.isFinite && radians.allSatisfy(\.isFinite) }

  /// The numbers of a head that turn.
  package var dimension: Int { 2 * radians.count }
}
