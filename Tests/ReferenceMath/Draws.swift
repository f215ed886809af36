import Foundation

/// Random draws that a seed decides, so that a failing case can be repeated.
///
/// - Source: Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
package struct Draws: RandomNumberGenerator {
  private var state: UInt64

  /// The draws of a seed.
  package init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

  /// 64 random bits.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in [0, 1).
  package mutating func uniform() -> Double { Double.random(in: 0..<1, using: &self) }

  /// An integer of a range.
  package mutating func integer(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &self)
  }

  /// One of several.
  package mutating func one<T>(of choices: [T]) -> T { choices[integer(0...choices.count - 1)] }

  /// Standard normal numbers, rounded to single precision so that both sides read the same.
  package mutating func normals(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      let radius = (-2 * log(1 - uniform())).squareRoot()
      return Float(radius * cos(2 * Double.pi * uniform()))
    }
  }
}
