import Tensors

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

  /// Choices of each expert by this rank's rows.
  package private(set) var choices: [Double]
  /// The same of each router alone.
  package private(set) var choicesOfRouter: [Parameter: [Double]] = [:]
  /// Sums of each expert's scores.
  private var scores: [Double]
  /// Rows, those of each layer by themselves.
  private var rows = 0.0
  /// Choices and rows of all ranks.
  private var all: (choices: [Double], rows: Double)?
  /// Whether all has been counted: what comes now is a pass that runs again.
  package private(set) var isComplete = false
  /// The most choices of a sequence that an expert takes, as a multiple of the mean; 0 for all.
  let capacity: Double
  /// Choices that no expert took.
  package private(set) var dropped = 0.0
  private let sumOverRanks: (([Double]) throws -> [Double])?

  /// Nothing has been counted.
  ///
  /// - Parameters:
  ///   - capacity: The most choices of a sequence that an expert takes, as a multiple of the mean; 0 for all.
  ///   - sum: Sums numbers over all ranks that share the micro-batch, collective; nil where nothing is minimised for
  ///   balance, so that no rank need know the choices of others.
  package init(experts: Int, capacity: Double = 0, sum: (([Double]) throws -> [Double])? = nil) {
    choices = [Double](repeating: 0, count: experts)
    scores = choices
    self.capacity = capacity
    sumOverRanks = sum
  }

  /// Counts the rows of a layer, and of their choices those that experts took.
  func add(choices more: [Double], taken: Int, scores: [Double], rows: Int, router: Parameter) {
    guard !isComplete else { return }
    dropped += more.reduce(0, +) - Double(taken)
    choicesOfRouter[router] = choicesOfRouter[router].map { zip($0, more).map(+) } ?? more
    for e in choices.indices {
      choices[e] += more[e]
      self.scores[e] += scores[e]
    }
    self.rows += Double(rows)
  }

  /// Ends the counting, and learns what other ranks counted where that is asked for; the first call is collective then.
  package func complete() throws {
    guard !isComplete else { return }
    isComplete = true
    guard let sumOverRanks else { return }
    let sums = try sumOverRanks(choices + [rows])
    all = (sums.dropLast(), sums.last ?? 0)
  }

  /// Choices of an expert a row, over all ranks.
  package func frequency(_ expert: Int) -> Double {
    guard let all else {
      preconditionFailure("nobody summed the experts' choices before the backward pass")
    }
    return all.rows > 0 ? all.choices[expert] / all.rows : 0
  }

  /// This rank's share of the loss for balance, times all rows: `E Σ_e f_e Σ_rows score_e`, and its rows.
  package var loss: (sum: Double, positions: Int) {
    let sum = choices.indices.reduce(0.0) { $0 + frequency($1) * scores[$1] }
    return (Double(choices.count) * sum, Int(rows))
  }
}
