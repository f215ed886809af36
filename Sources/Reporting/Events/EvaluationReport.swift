import Foundation

/// The loss on data that is not trained on.
package struct EvaluationReport: Sendable {
  /// Training steps done.
  package var step: Int
  /// Sums over all that was evaluated.
  package var sums: LossSums
  /// Seconds it took on rank 0.
  package var seconds: Double
  /// Whether the loss is that of predicted tokens, and not one between layers.
  package var predictsTokens: Bool
  /// Share of right answers by guessing in a generated task; nil for other data.
  package var recallChance: Double?

  package init(
    step: Int, sums: LossSums, seconds: Double, predictsTokens: Bool = true,
    recallChance: Double? = nil
  ) {
    self.predictsTokens = predictsTokens
    self.step = step
    self.sums = sums
    self.seconds = seconds
    self.recallChance = recallChance
  }

  /// Mean loss a target, in nats.
  package var loss: Double { sums.meanLoss }
  /// Bits that a byte takes under the model; nil where nobody knows the bytes, or tokens are not predicted.
  package var bitsPerByte: Double? { predictsTokens ? sums.bitsPerByte : nil }
  /// `exp(loss)`; nil where tokens are not predicted.
  package var perplexity: Double? { predictsTokens ? exp(loss) : nil }
}
