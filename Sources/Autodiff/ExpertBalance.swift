/// How a micro-batch's tokens fall on experts, over all layers, and in the end over all ranks.
///
/// A loss for balance is `E Σ_e f_e P_e`: f, the choices of an expert a row, and P, the mean of its score, are means over
/// all rows together, so each rank's gradient needs the choices of all. They are summed between the forward pass of all
/// segments and the first backward pass.
///
/// - Source: Shazeer et al. (arXiv 1701.06538), Fedus et al., "Switch Transformers" (2101.03961).
package final class ExpertBalance {
  /// The name of the loss for balance.
  package static let lossName = "load_balance"
  /// The name of the routers' z-loss.
  package static let zLossName = "router_z_loss"

  /// Choices of each expert.
  package private(set) var choices: [Double]
  /// Sums of each expert's scores.
  package private(set) var scores: [Double]
  /// Rows, those of each layer by themselves.
  package private(set) var rows = 0.0
  /// The same of this rank alone, from the sum on.
  private var own: (scores: [Double], rows: Double)?
  private let sumOverRanks: ([Double]) throws -> [Double]

  /// Nothing has been counted.
  ///
  /// - Parameter sum: Sums numbers over all ranks that share the micro-batch; collective.
  package init(experts: Int, sum: @escaping ([Double]) throws -> [Double]) {
    choices = [Double](repeating: 0, count: experts)
    scores = choices
    sumOverRanks = sum
  }

  /// Whether it has been summed: what comes now is a pass that runs again.
  package var isSummed: Bool { own != nil }

  /// Counts the rows of a layer.
  func add(choices more: [Double], scores: [Double], rows: Int) {
    guard !isSummed else { return }
    for e in choices.indices {
      choices[e] += more[e]
      self.scores[e] += scores[e]
    }
    self.rows += Double(rows)
  }

  /// Replaces this rank's sums by those of all, the first time; collective.
  package func complete() throws {
    guard !isSummed else { return }
    own = (scores, rows)
    let all = try sumOverRanks(choices + scores + [rows])
    let experts = choices.count
    choices = Array(all[..<experts])
    scores = Array(all[experts..<2 * experts])
    rows = all[2 * experts]
  }

  /// Choices of an expert a row, over all.
  package func frequency(_ expert: Int) -> Double { rows > 0 ? choices[expert] / rows : 0 }

  /// This rank's share of the loss for balance, times all rows: `E Σ_e f_e Σ_rows score_e`, and its rows.
  package var loss: (sum: Double, positions: Int) {
    guard let own else { preconditionFailure("a loss for balance before the choices were summed") }
    let sum = choices.indices.reduce(0.0) { $0 + frequency($1) * own.scores[$1] }
    return (Double(choices.count) * sum, Int(own.rows))
  }
}
