/// A stage of a run begins, or goes on after a checkpoint.
package struct StageEvent: Sendable {
  /// Its number, from 1, and how many stages there are.
  package var number, stages: Int
  /// What is trained: `transfer` or `finetune`.
  package var kind: String
  /// Training steps done.
  package var step: Int
  /// Steps that were done when it began.
  package var start: Int
  /// Its steps, at most.
  package var steps: Int
  /// Its learning rate after the warmup.
  package var learningRate: Double
  /// Number of weights, and how many of them the stage leaves as they are.
  package var parameters, frozenParameters: Int
  /// Why the stage before has ended; nil for the first, and for one that goes on after a checkpoint.
  package var reason: String?

  package init(
    number: Int, stages: Int, kind: String, step: Int, start: Int, steps: Int,
    learningRate: Double, parameters: Int, frozenParameters: Int, reason: String?
  ) {
    (self.number, self.stages, self.kind) = (number, stages, kind)
    (self.step, self.start, self.steps) = (step, start, steps)
    self.learningRate = learningRate
    (self.parameters, self.frozenParameters) = (parameters, frozenParameters)
    self.reason = reason
  }

  /// Weights that it trains.
  package var trainableParameters: Int { parameters - frozenParameters }
}
