import Checkpoints
import Configuration
import Reporting

/// What a run knows of itself up to a step, for the next checkpoint: the same on every rank, but for what only rank 0 writes.
struct RunHistory {
  /// Tokens that were trained on.
  var tokens = 0
  /// The loss of the last step, and of the last evaluation; nil where there was none.
  var loss: Double?
  var evaluationLoss: Double?
  /// Whether an evaluation is due before the next step, since the run was stopped before it.
  var evaluationIsDue = false
  /// The checkpoint that the run wrote last, or goes on from; on ranks but the first only the latter.
  var checkpoint: Checkpoint?
  /// The steps that were done when the run's own folder got its last checkpoint, the same on all ranks.
  var savedStep: Int?

  /// A run before its first step, or after those of a checkpoint.
  init(_ configuration: RunConfiguration, from point: ResumePoint?) {
    guard let point else { return }
    let state = point.state
    tokens =
      point.checkpoint.isFormer
      ? state.step * configuration.training.batch * configuration.sequence.length : state.tokens
    (loss, evaluationLoss) = (state.loss, state.evaluationLoss)
    evaluationIsDue = state.evaluationIsDue
    checkpoint = point.checkpoint
    if !point.checkpoint.isFormer, RunFolder.resumes(configuration) { savedStep = state.step }
  }

  /// Takes note of a step.
  mutating func add(_ outcome: StepOutcome, tokens: Int) {
    self.tokens += tokens
    loss = outcome.loss.isFinite ? outcome.loss : nil
  }
}
