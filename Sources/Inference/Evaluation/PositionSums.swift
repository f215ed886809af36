/// Sums of losses by how many tokens of its document a prediction sees, in bins that double: 1, 2–3, 4–7, ….
package struct PositionSums: Sendable, Equatable {
  /// What predictions of a bin gave.
  package struct Bin: Sendable, Equatable {
    /// Sum of the losses, in nats.
    package var loss = 0.0
    /// Number of targets, and bytes of text that they stand for; 0 bytes where nobody counts them.
    package var targets = 0
    package var bytes = 0
  }

  /// The bins: number `i` has from `2^i` to `2^(i+1) − 1` tokens.
  package private(set) var bins: [Bin]

  /// Nothing summed yet.
  ///
  /// - Parameter longest: The most tokens that a prediction may see, at least 1.
  package init(longest: Int) {
    bins = Array(repeating: Bin(), count: Self.bin(of: max(longest, 1)) + 1)
  }

  /// Which bin so many tokens fall in.
  static func bin(of tokens: Int) -> Int {
    precondition(tokens > 0, "a prediction from \(tokens) tokens")
    return Int.bitWidth - 1 - tokens.leadingZeroBitCount
  }

  /// How many tokens the predictions of a bin see.
  package static func range(of bin: Int) -> ClosedRange<Int> { (1 << bin)...((2 << bin) - 1) }

  /// Adds a prediction.
  ///
  /// - Parameter tokens: How many tokens of the target's document it sees.
  package mutating func add(after tokens: Int, loss: Float, bytes: Int32) {
    let bin = Self.bin(of: tokens)
    bins[bin].loss += Double(loss)
    bins[bin].targets += 1
    bins[bin].bytes += Int(bytes)
  }

  /// The sums as numbers to be reduced; counts are exact up to 2⁵³.
  package var numbers: [Double] {
    bins.flatMap { [$0.loss, Double($0.targets), Double($0.bytes)] }
  }

  /// As many bins with what `numbers` gave, summed over ranks.
  package func with(_ numbers: some Collection<Double>) -> PositionSums {
    precondition(numbers.count == 3 * bins.count, "\(numbers.count) numbers of \(bins.count) bins")
    let numbers = Array(numbers)
    var sums = self
    for index in bins.indices {
      sums.bins[index] = Bin(
        loss: numbers[3 * index], targets: Int(numbers[3 * index + 1]),
        bytes: Int(numbers[3 * index + 2]))
    }
    return sums
  }
}
