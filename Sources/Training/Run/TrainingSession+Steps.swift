import Checkpoints
import Faults
import Foundation
import Measurement
import MessagePassing
import Reporting

/// What a run does from its first step to its end.
extension TrainingSession {
  /// Runs all steps, or those until any rank is asked to stop; an error is recorded in the log before it
  /// goes on.
  ///
  /// - Parameter isAskedToStop: Whether this rank is, beside what `StopRequest` tells; all ranks then stop after the
  ///   same step.
  @discardableResult
  func train(until isAsked: () -> Bool = { false }) throws -> TrainingEnd {
    if let nothingToDo {
      if world.rank == 0 { Console(steps: done, every: 1).note(nothingToDo) }
      return .finished
    }
    func isAskedToStop() -> Bool { isAsked() || request.reason() != nil }
    let started = ProcessInfo.processInfo.systemUptime
    func seconds() -> Double { ProcessInfo.processInfo.systemUptime - started }
    defer { outputs?.lock.release() }
    saved = clock()
    do {
      var isFinished = progress.isLast && progress.end(after: done) != nil
      // An evaluation before which the run was stopped comes first.
      var stops = false
      if !isFinished, history.evaluationIsDue { stops = try !evaluate(until: isAskedToStop) }
      while !isFinished {
        var (end, saves): (StageEnd?, Bool) = (nil, false)
        if !stops {
          let outcome = try step(stop: isAsked())
          saves = outcome?.saves ?? false
          if outcome != nil { end = try stageEnd() }
          isFinished = end != nil && progress.isLast
          // After the last step only an evaluation is long, and that hears the request itself.
          stops = (outcome?.stops ?? true) && !isFinished
          let evaluates =
            outcome != nil && configuration.evaluation.every > 0
            && (isDue(configuration.evaluation.every) || end != nil)
          history.evaluationIsDue = evaluates && end == nil
          if !stops, evaluates { stops = try !evaluate(until: isAskedToStop) }
        }
        if stops {
          try recording?.finish()
          try checkpoint()
          let reason = request.reason() ?? StopRequest.bySignal
          try outputs?.log.end(
            reason: reason, steps: done, seconds: seconds(), causes: slowCauses.sentences)
          outputs?.console.end(
            reason: reason, steps: done, seconds: seconds(), modelPath: nil,
            causes: slowCauses.sentences)
          return .stopped
        }
        if let end, !isFinished {
          try beginStage(after: end)
        } else if checkpointIsDue(asked: saves) {
          try beginCheckpoint()
        }
      }
      try recording?.finish()
      // Where the checkpoint has no room the model may have some.
      let problem = try unsaved { try checkpoint() }
      try writeModel()
      if let problem { throw problem }
    } catch {
      // What all ranks have found together leaves time for what is being written.
      if let error = error as? TrainingError, error.isOfAllRanks { try? finishCheckpoint() }
      // Else the rank that speaks for all has its line recorded, which is perhaps not this one.
      if !ProcessWatch.current.isWatching || world.size == 1 {
        try? outputs?.log.end(reason: "\(error)", steps: done, seconds: seconds())
      }
      outputs?.console.end(reason: "stopped", steps: done, seconds: seconds(), modelPath: nil)
      throw error
    }
    if let outputs {
      try outputs.log.end(
        reason: "finished", steps: done, seconds: seconds(), causes: slowCauses.sentences)
      outputs.console.end(
        reason: "finished", steps: done, seconds: seconds(),
        modelPath: run.model.lora == nil ? outputs.folder.modelPath : outputs.folder.adapterPath,
        causes: slowCauses.sentences)
    }
    return .finished
  }

  func isDue(_ every: Int) -> Bool { every > 0 && done % every == 0 }

  /// Whether a checkpoint is to be written now: one that comes due while updates are skipped waits for the next update.
  func checkpointIsDue(asked: Bool) -> Bool {
    owesCheckpoint = owesCheckpoint || asked || isDue(configuration.checkpoint.every)
    guard owesCheckpoint, run.vigilance.skipped == 0 else { return false }
    owesCheckpoint = false
    return true
  }

  /// Whether the last checkpoint is as old as was asked; rank 0's clock counts.
  var isDueByTime: Bool {
    let minutes = configuration.checkpoint.minutes
    return world.rank == 0 && minutes > 0 && clock() - saved >= 60 * minutes
  }

  /// Trains a step; nil where all ranks stop within it.
  ///
  /// - Parameter stop: Whether this rank asks for that; what `request` tells is heard until the step's end.
  func step(stop: Bool) throws -> StepOutcome? {
    Phase.enter("step", done + 1)
    let counters = run.context.counters
    counters.reset()
    let usage = ProcessUsage.now
    let started = ProcessInfo.processInfo.systemUptime
    var savesAsked = savesDone
    func isAskedToSave() -> Bool {
      savesAsked = StopSignal.savesAsked
      return savesAsked > savesDone || isDueByTime
    }
    var outcome: StepOutcome
    do {
      func train() throws -> StepOutcome {
        try run.step(done, stop: stop || request.reason() != nil, save: isAskedToSave())
      }
      outcome = try recording?.step(done + 1, train) ?? train()
    } catch is StepAbandoned {
      return nil
    }
    if outcome.saves { savesDone = savesAsked }
    if outcome.spike?.action == TrainingSection.SpikeAction.rewind.rawValue {
      outcome.spike?.goBack(to: try rewind())
    }
    let seconds = ProcessInfo.processInfo.systemUptime - started
    let ranks = try RankFigures.gather(
      RankFigures(
        counters, seconds: seconds, usage: ProcessUsage.now - usage, pressure: pressure.next()),
      world: world)
    slowCauses.add(ranks)
    done += 1
    CrashHandler.record(steps: done)
    request.reserve = max(request.reserve, 60 + 2 * seconds)
    progress.add(loss: outcome.loss)
    history.add(outcome, tokens: configuration.training.batch * configuration.sequence.length)
    try keepPlace()
    try pollCheckpoint()
    guard let outputs else {
      try guardSteps(after: outcome)
      return outcome
    }
    let tokens = configuration.training.batch * configuration.sequence.length
    let report = StepReport(
      outcome: outcome, tokens: tokens, seconds: seconds,
      operations: run.operationsPerToken * Double(tokens)
        + ranks.reduce(0) { $0 + $1.attentionOperations },
      ranks: ranks)
    try outputs.log.step(report, chance: chance)
    outputs.console.step(report)
    try outputs.board?.add(report, chance: chance).map { try warn($0) }
    try guardSteps(after: outcome)
    if predictsTokens, levels.note(outcome.loss) { try warn(levels.sentence(step: done)) }
    if outcome.sums.targets == 0, !hasWarnedOfNoTarget.inStep {
      hasWarnedOfNoTarget.inStep = true
      try warn(
        "step \(outcome.step + 1) has no token to predict, and so no loss; look at data.loss_mask and data.documents"
      )
    }
    return outcome
  }
}
