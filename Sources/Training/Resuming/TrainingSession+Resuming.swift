import Checkpoints
import MessagePassing
import Reporting

/// What a run that goes on finds, and what it leaves of what it goes back behind.
extension TrainingSession {
  /// What to say of a run that has come to its end and made its model; nil for one that has something to do.
  ///
  /// Collective: rank 0 looks what there is.
  static func nothingToDo(
    _ configuration: RunConfiguration, _ options: TrainingOptions, _ progress: StageProgress,
    _ history: RunHistory, world: any Communicator
  ) throws -> String? {
    guard let checkpoint = history.checkpoint, RunFolder.resumes(configuration),
      progress.isLast, progress.end(after: checkpoint.state.step) != nil,
      let path = RunFolder.givenPath(configuration)
    else { return nil }
    let (state, folder) = (checkpoint.state, RunFolder(path: path))
    let isFinished = world.rank == 0 && folder.isFinished(after: checkpoint)
    guard try world.allReduceSum(isFinished ? 1 : 0) > 0 else { return nil }
    let forgotten = world.rank == 0 && options.forgets ? try folder.checkpoints.forget() : 0
    let results = [
      state.loss.map { "loss \(Format.fixed($0))" },
      state.evaluationLoss.map { "held out \(Format.fixed($0))" },
    ].compactMap { $0 }
    return "nothing to do: the run in \(path) is finished, after "
      + ([Format.number(state.step, of: "step")] + results).joined(separator: ", ")
      + "; its model is there, and more steps go on from its end"
      + (forgotten > 0
        ? "; \(Format.number(forgotten, of: "checkpoint")) that had been set aside are deleted"
        : "")
  }

  /// Sets aside the checkpoints that the run goes back behind, and says so; forgets those that were set aside, if that is asked for.
  func tidy(_ options: TrainingOptions, resuming checkpoint: Checkpoint?) throws {
    guard let outputs, outputs.folder.continues else { return }
    let checkpoints = outputs.folder.checkpoints
    if let checkpoint {
      for moved in try checkpoints.setAside(after: checkpoint) {
        try warn("the run goes back behind \(moved.was), which is set aside as \(moved.is)")
      }
    } else if configuration.training.resume == .auto {
      try warn("there is no checkpoint in \(checkpoints.path): the run begins at step 0")
    }
    guard options.forgets else { return }
    let count = try checkpoints.forget()
    try warn("\(Format.number(count, of: "checkpoint")) that had been set aside are deleted")
  }
}
