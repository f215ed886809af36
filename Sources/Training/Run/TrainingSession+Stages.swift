import Checkpoints
import MessagePassing
import SequenceParallel
import Tensors

/// How one stage of a run ends and the next begins.
extension TrainingSession {
  /// Why the stage ends after the step that is done, the same on all ranks; nil where it goes on.
  func stageEnd() throws -> StageEnd? {
    let mine = progress.end(after: done)
    guard progress.hasRule else { return mine }
    // Rank 0, whose checkpoint holds the losses, decides for all.
    let ends = try world.allReduceSum(world.rank == 0 && mine != nil ? 1 : 0) > 0
    return ends ? mine ?? .steps(done - progress.place.start) : nil
  }

  /// Ends a stage with a checkpoint, from which the next begins: as a run would that goes on from there.
  func beginStage(after end: StageEnd) throws {
    let path = try world.broadcast(try checkpoint() ?? "")
    progress.begin(after: end, at: done)
    // What the stage had gives room before the next needs some.
    run = nil
    workspace.pool.trim()
    run = try Self.run(
      progress, setup, world: world, workspace: workspace, exchange: exchange, rehearsals)
    try run.readWeights(of: Checkpoint(path: path))
    try announceStage()
  }

  /// The stage at hand, whose weights are still to be read; those of its teacher are.
  static func run(
    _ progress: StageProgress, _ setup: RunSetup, world: any Communicator, workspace: Workspace,
    exchange: ExchangeKind, _ rehearsals: [Rehearsals]
  ) throws -> TrainingRun {
    let run = try TrainingRun(
      progress.stage, corpus: setup.corpus, model: setup.model,
      teacher: setup.teacherModel(in: progress.stage), world: world, workspace: workspace,
      exchange: exchange, rehearsals: rehearsals[progress.place.index],
      start: progress.place.start)
    if let folder = setup.teacher { try run.teacher?.readWeights(folder) }
    return run
  }

  func announceStage() throws {
    guard progress.hasStages, let outputs else { return }
    let event = progress.event(run, done: done)
    try outputs.log.stage(event)
    outputs.console.stage(event, steps: progress.steps)
  }
}
