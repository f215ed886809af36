import Faults
import MessagePassing
import Reporting

/// `lasp-train`: trains a model over all ranks.
///
/// Rank 0 alone writes.
package enum Trainer {
  /// Trains as asked, on every rank.
  ///
  /// - Parameter options: What is asked beside the run file.
  package static func run(
    _ configuration: RunConfiguration, _ options: TrainingOptions = TrainingOptions()
  ) throws -> TrainingEnd {
    StopSignal.listen()
    return try RankProgram.run(configuration) { world, workspace in
      let session = try TrainingSession(
        configuration, options, world: world, workspace: workspace)
      return try session.train()
    }
  }
}

/// What is asked of a run beside its run file.
package struct TrainingOptions: Sendable {
  /// Whether files of an earlier run in the same folder may be replaced.
  package var overwrites = false
  /// Whether a run may go on with another model or other data than its checkpoint was written with.
  package var acceptsChanges = false
  /// Whether checkpoints that were set aside are deleted.
  package var forgets = false
  /// Whether a run that needs more memory than there is begins all the same.
  package var forces = false
  /// File for a trace of the first steps; nil for none.
  package var trace: String?
  /// How much the console says; nil for what suits where it ends.
  package var console: ConsoleMode?

  package init() {}
}

/// How training ended.
package enum TrainingEnd: Sendable {
  /// All steps are done.
  case finished
  /// A signal asked to stop; a checkpoint holds what was done.
  case stopped

  /// What the program tells who started it.
  package var exitReason: ExitReason { self == .finished ? .success : .stopped }
}
