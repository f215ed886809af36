import Foundation
import Reporting

/// A row of the parity table: how far a run's losses are from the reference's.
struct ParityRow: Sendable {
  /// Greatest relative difference of a loss that is allowed, over the first steps and over all.
  static let limits = (early: 1e-6, all: 1e-5)
  /// How many steps are the first ones.
  static let earlySteps = 10

  /// The last loss, in nats.
  let loss: Double
  /// Greatest relative difference over the first steps, and over all.
  let early, all: Double
  private let parityCase: ParityCase

  /// Compares two courses of losses; one of other length, or with a NaN, is infinitely far.
  init(_ parityCase: ParityCase, losses: [Double], reference: [Double]) {
    self.parityCase = parityCase
    let isComparable = losses.count == reference.count && !losses.isEmpty
    let differences = zip(losses, reference).map { own, other in
      let difference = abs(own - other) / max(abs(other), .leastNormalMagnitude)
      return difference.isFinite ? difference : .infinity
    }
    loss = losses.last ?? .nan
    early = isComparable ? differences.prefix(Self.earlySteps).max() ?? 0 : .infinity
    all = isComparable ? differences.max() ?? 0 : .infinity
  }

  /// Whether the losses agree as they should.
  var holds: Bool { early <= Self.limits.early && all <= Self.limits.all }

  /// The row, aligned below `heading`; a `!` marks what exceeds its limit.
  var text: String {
    Self.names(parityCase) + Format.right(String(format: "%.10f", loss), 16)
      + Self.cell(early, limit: Self.limits.early) + Self.cell(all, limit: Self.limits.all)
  }

  /// The names of the columns.
  static let heading =
    Format.left("optimizer", 11) + Format.left("sharding", 12) + Format.right("data × sequence", 15)
    + Format.right("last loss", 16)
    + Format.right("first \(earlySteps)", 11) + "  " + Format.right("all", 11)

  /// The limits as a person reads them.
  static let limitsText =
    "\(limits.early) of the loss in the first \(earlySteps) steps or \(limits.all) in all"

  /// The row's first columns.
  static func names(_ parityCase: ParityCase) -> String {
    Format.left(parityCase.rule, 11) + Format.left(parityCase.sharding, 12)
      + Format.right("\(parityCase.grid)", 15)
  }

  private static func cell(_ difference: Double, limit: Double) -> String {
    let text = difference == 0 ? "0" : String(format: "%.1e", difference)
    return Format.right(text, 11) + (difference <= limit ? "  " : " !")
  }
}
