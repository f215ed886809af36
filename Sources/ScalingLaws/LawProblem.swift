import Foundation

/// Why runs cannot carry a law.
package enum LawProblem: Error, Equatable, CustomStringConvertible {
  /// Fewer different runs than the law has constants, and one.
  case tooFew(Int)
  /// Too few different numbers of parameters or tokens, or too close to one another.
  case noSpread(of: Quantity, values: Int, ratio: Double)
  /// Parameters and tokens that rise together.
  case together(correlation: Double)

  /// What a law depends on.
  package enum Quantity: String, Sendable { case parameters, tokens }

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .tooFew(let count):
      "\(count == 1 ? "1 run differs" : "\(count) runs differ") in parameters or tokens, and a law of five constants needs "
        + "\(Self.fewest); train more sizes, or each for more numbers of tokens"
    case .noSpread(let quantity, let values, let ratio):
      values < Self.fewestValues
        ? "there are \(values) different numbers of \(quantity.rawValue), and a law needs \(Self.fewestValues); train "
          + (quantity == .parameters ? "more sizes" : "for more numbers of tokens")
        : "numbers of \(quantity.rawValue) differ by a factor of \(String(format: "%.2g", ratio)) at most, and a law needs "
          + "\(String(format: "%g", Self.leastRatio)); spread them further"
    case .together(let correlation):
      "parameters and tokens rise together (their logarithms correlate by \(String(format: "%.3f", correlation))), so that "
        + "what each is worth is not told apart; train some sizes for fewer and some for more tokens"
    }
  }

  /// The fewest different runs.
  package static let fewest = 6
  /// The fewest different numbers of parameters, and of tokens, and the least ratio of their greatest to their least.
  package static let (fewestValues, leastRatio) = (3, 2.0)
  /// The greatest correlation of the logarithms.
  private static let mostCorrelation = 0.98

  /// Refuses runs that cannot carry a law.
  static func check(_ points: [ScalingPoint]) throws(LawProblem) {
    let (n, d) = (points.map { log($0.parameters) }, points.map { log($0.tokens) })
    var different: [Int] = []
    for i in points.indices
    where !different.contains(where: { abs(n[$0] - n[i]) < apart && abs(d[$0] - d[i]) < apart }) {
      different.append(i)
    }
    guard different.count >= fewest else { throw .tooFew(different.count) }
    for (quantity, values) in [(Quantity.parameters, n), (.tokens, d)] {
      let sorted = values.sorted()
      var count = 0
      var last = -Double.infinity
      for value in sorted where value - last > apart {
        count += 1
        last = value
      }
      let ratio = exp(sorted.last! - sorted[0])
      guard count >= fewestValues, ratio >= leastRatio else {
        throw .noSpread(of: quantity, values: count, ratio: ratio)
      }
    }
    let (meanN, meanD) = (
      n.reduce(0, +) / Double(n.count), d.reduce(0, +) / Double(d.count)
    )
    let (dn, dd) = (n.map { $0 - meanN }, d.map { $0 - meanD })
    func product(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let correlation = product(dn, dd) / (product(dn, dn) * product(dd, dd)).squareRoot()
    guard abs(correlation) <= mostCorrelation else { throw .together(correlation: correlation) }
  }

  /// Logarithms closer than this are the same.
  private static let apart = 0.05
}
