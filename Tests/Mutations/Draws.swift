/// Random numbers that a seed decides.
///
/// - Source: Steele et al., "Fast splittable pseudorandom number generators" (2014), SplitMix64.
package struct Draws: RandomNumberGenerator {
  private var state: UInt64

  /// Begins the numbers of one mutant.
  package init(seed: UInt64, number: Int) {
    state =
      seed &* 0xD134_2543_DE82_EF95 ^ UInt64(bitPattern: Int64(number)) &* 0x2545_F491_4F6C_DD1D
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// A number below a limit above 0.
  package mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

  /// One of some items, of which there is at least one.
  package mutating func one<Items: Collection>(of items: Items) -> Items.Element {
    items.randomElement(using: &self)!
  }

  /// A span within a count, which may be empty.
  package mutating func span(in count: Int, most: Int = .max) -> Range<Int> {
    let start = below(count + 1)
    return start..<start + below(min(most, count - start) + 1)
  }
}
