/// What can end training.
package enum TrainingError: Error, CustomStringConvertible {
  /// The loss or the gradient is not a finite number.
  case notFinite(step: Int, loss: Double, norm: Double)
  /// The loss of an evaluation is not a finite number.
  case evaluationNotFinite(step: Int, loss: Double)
  /// The run's folder holds an earlier run.
  case folderTaken(String)
  /// Ranks that do not agree.
  case disagreement(String)

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .notFinite(let step, let loss, let norm):
      "step \(step): the loss is \(loss) and the gradient norm \(norm); lower optimizer.learning_rate, "
        + "lengthen schedule.warmup, or go on from an earlier checkpoint"
    case .evaluationNotFinite(let step, let loss):
      "the evaluation after step \(step) has a loss of \(loss); lower optimizer.learning_rate, or go on from an "
        + "earlier checkpoint"
    case .folderTaken(let folder):
      "\(folder) holds an earlier run; choose another training.name or log.directory, give --overwrite, "
        + "or go on with it by --training.resume=auto"
    case .disagreement(let sentence): sentence
    }
  }
}
