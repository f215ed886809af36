/// What a scaling law is fitted to: a run that has ended.
package struct ScalingPoint: Sendable, Equatable {
  /// Number of weights, N.
  package let parameters: Double
  /// Tokens trained on, D.
  package let tokens: Double
  /// Held-out loss at the end, L, in nats a token.
  package let loss: Double

  package init(parameters: Double, tokens: Double, loss: Double) {
    precondition(
      parameters > 0 && tokens > 0 && loss > 0 && loss.isFinite,
      "a run of \(parameters) parameters, \(tokens) tokens and loss \(loss)")
    (self.parameters, self.tokens, self.loss) = (parameters, tokens, loss)
  }

  /// Operations of its training by the field's formula, 6ND.
  package var compute: Double { 6 * parameters * tokens }
}
