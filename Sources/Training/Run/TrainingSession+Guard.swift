import Checkpoints
import Files
import Reporting

/// What a run does about steps whose update is left out, and about those that stand out.
extension TrainingSession {
  /// Tells what is wrong with a step; ends the run where too many in a row were skipped.
  ///
  /// - Throws: `TrainingError.notFinite` on all ranks.
  func guardSteps(after outcome: StepOutcome) throws {
    if let outputs {
      if let skipped = outcome.skipped {
        try outputs.log.skip(skipped)
        outputs.console.warning(
          "step \(skipped.step): \(skipped.description); its update is left out "
            + "(\(skipped.inARow) in a row, \(configuration.training.maxSkips) end the run)")
      }
      if let spike = outcome.spike {
        let step = outcome.step + 1
        try outputs.log.spike(spike, step: step)
        if spike.inARow == 1 || spike.action != TrainingSection.SpikeAction.warn.rawValue {
          outputs.console.warning(spike.description(step: step))
        }
      }
      if outcome.renewedStreams > 0 {
        try warn(
          "step \(outcome.step + 1) left states that are no finite numbers in "
            + "\(Format.number(outcome.renewedStreams, of: "stream")), which go on from zero")
      }
    }
    if let skipped = outcome.skipped, skipped.inARow >= configuration.training.maxSkips {
      throw TrainingError.notFinite(skipped)
    }
  }

  /// Gives weights and the optimizer's state back what a checkpoint holds; the steps since, and their batches, are left out,
  /// while the step, the schedule and the data go on.
  ///
  /// Collective.
  ///
  /// - Returns: The step after which it was written; nil where there is none.
  func rewind() throws -> Int? {
    try finishCheckpoint()
    let mine = world.rank == 0 ? history.checkpoint?.path : nil
    let path = try world.broadcast(mine.flatMap { FileSystem.exists($0) ? $0 : nil } ?? "")
    guard !path.isEmpty else { return nil }
    let checkpoint = try Checkpoint(path: path)
    let state = checkpoint.state
    if !progress.hasStages || state.stage?.index == progress.place.index {
      try run.read(checkpoint)
      run.optimizer.stateStart += done + 1 - state.step
    } else {
      // The stage before ended with it.
      try run.readWeights(of: checkpoint)
      run.optimizer.forget(at: done + 1)
    }
    return state.step
  }
}
