import Foundation

/// How tokens fell on experts: shares of all choices, over all layers and ranks.
package struct ExpertShares: Sendable, Equatable {
  /// The least share of an expert, and the greatest.
  package let least, greatest: Double
  /// The entropy of the shares over that of equal ones: 1 where all experts are chosen as often.
  package let evenness: Double
  /// Choices that no expert took, since more tokens chose it than it takes.
  package let dropped: Int

  /// Nil where nothing was chosen.
  ///
  /// - Parameter choices: Of each expert.
  package init?(choices: [Double], dropped: Double = 0) {
    self.dropped = Int(dropped)
    let all = choices.reduce(0, +)
    guard all > 0, let least = choices.min(), let greatest = choices.max() else { return nil }
    (self.least, self.greatest) = (least / all, greatest / all)
    let entropy = choices.reduce(0.0) { $1 > 0 ? $0 - $1 / all * log($1 / all) : $0 }
    evenness = choices.count > 1 ? entropy / log(Double(choices.count)) : 1
  }
}
