import Reporting

/// What can end training.
package enum TrainingError: Error, CustomStringConvertible {
  /// Losses or gradients of too many steps in a row are no finite numbers.
  case notFinite(SkippedStep)
  /// An update made of a weight, or of what the update rule keeps of it, what is no finite number.
  case weightsNotFinite(step: Int, name: String)
  /// The loss of an evaluation is not a finite number.
  case evaluationNotFinite(step: Int, loss: Double)
  /// The run's folder holds an earlier run.
  case folderTaken(String)
  /// The checkpoint in which a run was to end could not be written.
  case notSaved(step: Int, reason: String)
  /// A disk has not taken a checkpoint in all the time that it may need.
  case diskStandsStill(step: Int, rank: String, seconds: Double)
  /// Another run writes to the run's folder.
  case folderInUse(folder: String, by: String)
  /// The run's folder has become another run's.
  case folderLost(folder: String, to: String)
  /// Ranks that do not agree.
  case disagreement(String)

  /// Whether all ranks throw it at the same place.
  var isOfAllRanks: Bool {
    switch self {
    case .notFinite, .weightsNotFinite, .evaluationNotFinite: true
    default: false
    }
  }

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .notFinite(let last):
      "step \(last.step): \(last.description); so it was in \(last.inARow) steps in a row, as many as "
        + "training.max_skips allows: lower optimizer.learning_rate, lengthen schedule.warmup, or go on from an "
        + "earlier checkpoint"
    case .weightsNotFinite(let step, let name):
      "step \(step): the update made of \(name), or of the optimizer's state of it, what is no finite number; nothing "
        + "of it is saved: lower optimizer.learning_rate, set optimizer.clip, or go on from an earlier checkpoint"
    case .evaluationNotFinite(let step, let loss):
      "the evaluation after step \(step) has a loss of \(loss); lower optimizer.learning_rate, or go on from an "
        + "earlier checkpoint"
    case .folderTaken(let folder):
      "\(folder) holds an earlier run; choose another training.name or log.directory, give --overwrite, "
        + "or go on with it by --training.resume=auto"
    case .notSaved(let step, let reason):
      "the checkpoint after step \(step) could not be written: \(reason); make room, and go on from the one before by "
        + "training.resume=auto"
    case .diskStandsStill(let step, let rank, let seconds):
      "\(rank) could not finish writing the checkpoint after step \(step), for which all waited \(Int(seconds)) s, ten times "
        + "parallel.timeout: see to the disk of the run's folder, and go on from the checkpoint before by training.resume=auto"
    case .folderInUse(let folder, let writer):
      "\(folder) is written to by \(writer), or choose another training.name or log.directory (--overwrite replaces "
        + "only what has ended)"
    case .folderLost(let folder, let writer):
      "\(folder) was taken by \(writer) while this run wrote to it; this run ends, and writes nothing more there: go on "
        + "from its last checkpoint in another folder, by training.resume and log.directory"
    case .disagreement(let sentence): sentence
    }
  }
}
