/// A step whose loss or gradient norm stands out of those before it.
package struct Spike: Sendable, Equatable {
  /// What stands out: `loss` or `grad_norm`.
  package let quantity: String
  /// Its value, the median of the steps before it, and its robust z-score.
  package let value, median, score: Double
  /// What was done: `warn`, `skip` or `rewind`.
  package private(set) var action: String
  /// Steps in a row that stood out, this one among them.
  package let inARow: Int
  /// The step of the checkpoint that weights went back to; nil where they did not.
  package private(set) var checkpointStep: Int?

  package init(
    quantity: String, value: Double, median: Double, score: Double, action: String, inARow: Int
  ) {
    (self.quantity, self.value, self.median, self.score) = (quantity, value, median, score)
    (self.action, self.inARow) = (action, inARow)
  }

  /// Whether the step's update is left out.
  package var leavesOutUpdate: Bool { action != "warn" }

  /// Takes note of the step of the checkpoint that weights went back to; of nil, that there is none, and the update alone is
  /// left out.
  package mutating func goBack(to step: Int?) {
    checkpointStep = step
    if step == nil { action = "skip" }
  }

  /// What stands out, and what was done, of a step.
  ///
  /// - Parameter step: From 1.
  package func description(step: Int) -> String {
    let done =
      switch (action, checkpointStep) {
      case ("skip", _): "its update is left out"
      case ("rewind", let from?):
        "weights are those after step \(from) again: what was learnt since, and this batch, is left out"
      default: "it is trained on"
      }
    let name = quantity == "loss" ? "the loss" : "the gradient norm"
    return "step \(step): \(name) \(Format.digits(value)) stands out of a median of "
      + "\(Format.digits(median)) by a robust z-score of \(Format.digits(score)); \(done)"
  }
}
