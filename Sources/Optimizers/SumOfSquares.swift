import Tensors

/// `Σ g²` of gradients that lie in ranges on many ranks.
///
/// Each rank adds its ranges; the ranks' `numbers` are added up, whoever adds them in whatever order; `value` makes the sum of
/// what comes out.
package struct SumOfSquares: Sendable {
  /// What ranks add up: one Double, or of an exact sum its digits to the base 2³², from the lowest on.
  package private(set) var numbers: [Double]
  private let isExact: Bool

  /// Nothing has been added.
  ///
  /// - Parameter exact: Whether no bit depends on how the numbers lie in ranges and on ranks.
  package init(exact: Bool = false) {
    isExact = exact
    numbers = [Double](repeating: 0, count: exact ? Self.digits : 1)
  }

  /// Adds the squares of a range.
  ///
  /// - Parameters:
  ///   - gradients: The range's first number.
  ///   - count: How many.
  ///   - team: The threads that share the work; one alone forms an exact sum.
  package mutating func add(_ gradients: UnsafePointer<Float>, count: Int, team: ThreadTeam) {
    guard isExact else {
      numbers[0] += GradientNorm.sumOfSquares(gradients, count: count, team: team)
      return
    }
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 256) { sums in
      for start in stride(from: 0, to: count, by: Self.block) {
        add(gradients + start, count: min(Self.block, count - start), sums.baseAddress!)
      }
    }
  }

  /// The sum; not finite where a gradient is not.
  ///
  /// - Parameter sums: The sums of all ranks' `numbers`.
  package func value(ofAll sums: ArraySlice<Double>) -> Double {
    guard isExact else { return sums[sums.startIndex] }
    guard sums.allSatisfy(\.isFinite) else { return .nan }
    return Self.carried(Array(sums)).enumerated().reversed().reduce(0) {
      $0 + $1.element * Double(sign: .plus, exponent: 32 * $1.offset + Self.lowest, significand: 1)
    }
  }

  // MARK: Exact sums

  /// The exponent of the least square: that of the least positive number's.
  private static let lowest = -298
  /// Enough for 2⁴⁰ squares of the greatest number.
  private static let digits = 20
  /// Squares of one exponent whose sum surely fits 64 bits.
  private static let block = 1 << 16

  /// Adds the squares of at most `block` numbers: `m² 2^(2e)`, of which the whole numbers `m²` of each `e` have an exact sum.
  ///
  /// - Parameter sums: Room for one for each exponent.
  private mutating func add(
    _ gradients: UnsafePointer<Float>, count: Int, _ sums: UnsafeMutablePointer<UInt64>
  ) {
    sums.update(repeating: 0, count: 256)
    for i in 0..<count {
      let bits = gradients[i].bitPattern & 0x7fff_ffff
      let exponent = Int(bits >> 23)
      let m = UInt64(exponent == 0 ? bits : bits & 0x7f_ffff | 0x80_0000)
      sums[exponent] &+= m &* m
    }
    // Numbers that are none.
    if sums[255] != 0 { numbers[0] = .nan }
    for exponent in 0..<255 where sums[exponent] != 0 {
      let place = 2 * (max(exponent, 1) - 1)
      var (digit, rest) = (place / 32, UInt128(sums[exponent]) << UInt128(place % 32))
      while rest > 0 {
        numbers[digit] += Double(UInt32(truncatingIfNeeded: rest))
        rest >>= 32
        digit += 1
      }
    }
    numbers = Self.carried(numbers)
  }

  /// The same sum with digits below 2³².
  private static func carried(_ digits: [Double]) -> [Double] {
    guard digits.allSatisfy(\.isFinite) else { return digits }
    var carry: UInt64 = 0
    return digits.map {
      let sum = UInt64($0) + carry
      carry = sum >> 32
      return Double(UInt32(truncatingIfNeeded: sum))
    }
  }
}
