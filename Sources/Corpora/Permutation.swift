import Tensors

/// A random order of `0..<count` that gives any place without computing the others.
///
/// Concretely: four rounds of a Feistel network over the smallest even number of bits that holds
/// `count`, with Philox as the round function; a value beyond `count` is passed through again until
/// it is one within (at most four times on average).
///
/// - Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (CT-RSA 2002), cycle walking.
struct Permutation: Sendable {
  /// Number of elements.
  let count: Int
  private let random: Random
  private let halfBits: UInt64

  /// Makes the order of one stream of random numbers.
  init(count: Int, random: Random) {
    precondition(count > 0, "a permutation of \(count) elements")
    self.count = count
    self.random = random
    halfBits = UInt64(UInt64.bitWidth - UInt64(count - 1).leadingZeroBitCount + 1) / 2
  }

  /// The element at a place.
  subscript(_ place: Int) -> Int {
    precondition((0..<count).contains(place), "place \(place) of \(count)")
    guard count > 1 else { return 0 }
    let mask = UInt64(1) << halfBits - 1
    var value = UInt64(place)
    repeat {
      var (left, right) = (value >> halfBits, value & mask)
      for round in 0..<4 as Range<UInt64> {
        let bits = random.bits(at: round << 60 | right)
        let word = UInt64(bits[0]) | UInt64(bits[1]) << 32
        (left, right) = (right, left ^ (word & mask))
      }
      value = left << halfBits | right
    } while value >= UInt64(count)
    return Int(value)
  }
}
