import Testing

@testable import Corpora

@Suite struct Mixtures {
  /// How many of the first `samples` come from each file.
  private func counts(_ weights: [Double], samples: Int, seed: UInt64 = 1) -> [Int] {
    let mixture = Mixture(weights: weights, seed: seed)
    var counts = weights.map { _ in 0 }
    for sample in 0..<samples { counts[mixture.draw(sample).file] += 1 }
    return counts
  }

  private func expected(_ weights: [Double], samples: Int) -> [Double] {
    weights.map { $0 / weights.reduce(0, +) * Double(samples) }
  }

  @Test(arguments: 1...5 as ClosedRange<UInt64>)
  func aSmallShareIsAsGiven(seed: UInt64) {
    let counts = counts([1, 1e-4], samples: 1_000_000, seed: seed)
    #expect(abs(counts[1] - 100) <= 1)
  }

  @Test func manySmallFilesLeaveALargeOneItsShare() {
    let weights = [1] + Array(repeating: 1e-3, count: 250)
    let samples = 64 * 5000
    let (counts, expected) = (
      counts(weights, samples: samples), expected(weights, samples: samples)
    )
    #expect(abs(Double(counts[0]) - expected[0]) <= 1)
    for (count, expected) in zip(counts, expected) { #expect(abs(Double(count) - expected) <= 2) }
  }

  @Test(
    arguments: [
      [1], [5, 5], [0.1, 0.9], [3, 2, 1], [1, 1, 1, 1, 1, 1, 1], [1e300, 1e300, 1e290],
      [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125], [1e-300, 2e-300],
    ] as [[Double]])
  func atTheEndOfEveryBlockEachFileHasItsShareToWithinTwo(weights: [Double]) {
    let mixture = Mixture(weights: weights, seed: 3)
    var counts = weights.map { _ in 0 }
    let shares = weights.map { $0 / weights.max()! }
    let total = shares.reduce(0, +)
    for sample in 0..<64 * 200 {
      counts[mixture.draw(sample).file] += 1
      guard (sample + 1) % 64 == 0 else { continue }
      for (count, share) in zip(counts, shares) {
        #expect(abs(Double(count) - Double(sample + 1) * share / total) <= 2)
      }
    }
  }

  @Test func eachFileIsDrawnFromInItsOwnOrderWithoutGaps() {
    let weights = [5, 1, 0.01, 2, 2, 1e-5]
    let mixture = Mixture(weights: weights, seed: 9)
    var numbers = weights.map { _ in [Int]() }
    for sample in 0..<64 * 500 {
      let draw = mixture.draw(sample)
      numbers[draw.file].append(draw.number)
    }
    for numbers in numbers { #expect(numbers.sorted() == Array(0..<numbers.count)) }
  }

  @Test func filesOfEqualWeightHaveNoFixedPlaceInABatch() {
    let mixture = Mixture(weights: [1, 1], seed: 1)
    let first = (0..<1000).map { mixture.draw(2 * $0).file }
    #expect((400...600).contains(first.filter { $0 == 0 }.count))
    #expect((400...600).contains(zip(first, first.dropFirst()).filter { $0 == $1 }.count))
  }

  @Test func aDrawIsKnownWithoutThoseBefore() {
    let weights = [1, 1e-4, 0.3]
    let far = 1_000_000_000_000
    let samples = (far..<far + 64).map { Mixture(weights: weights, seed: 4).draw($0) }
    for (file, share) in expected(weights, samples: 1).enumerated() {
      for draw in samples where draw.file == file {
        #expect(abs(Double(draw.number) - share * Double(far)) <= 64 + 2)
      }
    }
    #expect(Set(samples.map(\.file)).isSuperset(of: [0, 2]))
    let other = (0..<64).map { Mixture(weights: weights, seed: 5).draw($0).file }
    #expect(other != (0..<64).map { Mixture(weights: weights, seed: 4).draw($0).file })
  }

  @Test func oneFileIsDrawnInOrder() {
    let mixture = Mixture(weights: [0.3], seed: 1)
    #expect((0..<100).map { mixture.draw($0).number } == Array(0..<100))
  }
}
