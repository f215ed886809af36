import Checkpoints
import Configuration
import Corpora
import Faults
import Files
import Foundation
import Measurement
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

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

/// One rank's run from start to end: steps, evaluations, checkpoints, and on rank 0 the log.
final class TrainingSession {
  let configuration: RunConfiguration
  let world: any Communicator
  let workspace: Workspace
  let setup: RunSetup
  private let exchange: ExchangeKind
  /// The rehearsals of each stage.
  private let rehearsals: [Rehearsals]
  /// The stage that is trained; nothing only while one makes room for the next.
  private(set) var run: TrainingRun!
  private(set) var progress: StageProgress
  private let evaluationCorpus: (any Corpus)?
  private let chance: Double?
  private var owesCheckpoint = false
  /// The checkpoint that is being written.
  var inFlight: CheckpointInFlight?
  /// Why the last checkpoint was not written, the same on all ranks but for its words.
  var saveProblem: String?
  /// Whether it has been told why checkpoints are not written beside the run.
  var hasToldOfWriting = false
  /// What a rank's thread does before it writes; for tests.
  var beforeWriting: @Sendable () throws -> Void = {}
  /// Whether this rank sees a file of rank 0's.
  var sees: (String) -> Bool = FileSystem.exists
  /// Ranks that share this host's memory.
  let ranksOfHost: Int
  private var levels: LossLevels
  private(set) var outputs: Outputs?
  let origin: ModelFolder.Origin?
  let tokenizerFiles: TokenizerFiles?
  private let recording: TraceRecording?
  /// Steps done.
  var done: Int
  /// What checkpoints tell of the run so far.
  var history: RunHistory
  /// What to say of a run that has come to its end before; nil for one that goes on.
  private let nothingToDo: String?
  /// Seconds of a clock that never goes back.
  var clock: () -> Double = { ProcessInfo.processInfo.systemUptime }
  /// When the last checkpoint was written, or the run began.
  var saved = 0.0
  /// What tells the files that the run reads from others.
  let fingerprint: DataFingerprint
  /// When this rank asks all to stop.
  var request: StopRequest
  private var savesDone = StopSignal.savesAsked
  private var hasWarnedOfNoTarget = (inStep: false, inEvaluation: false)

  /// What rank 0 writes with.
  struct Outputs {
    let folder: RunFolder
    /// That nobody else writes there.
    var lock: RunLock
    let log: RunLog
    /// What the log begins with.
    let start: StartEvent
    let console: Console
  }

  init(
    _ configuration: RunConfiguration, _ options: TrainingOptions = TrainingOptions(),
    world: World, workspace: Workspace
  ) throws {
    let communicator = world.communicator
    self.world = communicator
    request = StopRequest(maxMinutes: configuration.training.maxMinutes)
    ranksOfHost = max(1, world.host.ranks)
    try Agreement.ofProgram(configuration).check(communicator)
    var lock = communicator.rank == 0 ? try RunFolder.lock(configuration: configuration) : nil
    let point = try ResumePoint.find(configuration, world: communicator)
    let (checkpoint, state) = (point?.checkpoint, point?.state)
    let configuration = configuration.findingTokenizer(in: checkpoint)
    self.configuration = configuration
    // What cannot be read is told better by who reads it.
    let read = Result { try configuration.dataFingerprint() }
    let changes = (try? read.get()).flatMap { fingerprint in
      checkpoint.map { ResumeChanges(configuration, fingerprint, from: $0) }
    }
    let changed = try communicator.together {
      try checkpoint.flatMap {
        try changes?.accepted(by: configuration, anyway: options.acceptsChanges, from: $0)
      } ?? []
    }
    let setup = try RunSetup(
      configuration, world: communicator,
      resuming: checkpoint?.isFormer == false && changes?.isOfModel == false ? checkpoint : nil)
    origin = setup.origin
    tokenizerFiles = setup.tokenizerFiles
    evaluationCorpus = setup.evaluation
    chance = setup.chance
    self.setup = setup
    self.workspace = workspace
    fingerprint = try communicator.together { try read.get() }
    try Self.keepProducts(of: state, configuration, workspace)
    var progress = StageProgress(configuration)
    if let checkpoint {
      progress = try StageProgress(configuration, from: checkpoint.state, in: checkpoint.path)
    }
    self.progress = progress
    done = state?.step ?? 0
    history = RunHistory(configuration, from: point)
    levels = LossLevels(
      vocabulary: setup.corpus.vocabulary, window: configuration.training.spikeWindow)
    nothingToDo = try Self.nothingToDo(
      configuration, options, progress, history, world: communicator)
    guard nothingToDo == nil else {
      (rehearsals, exchange, recording, outputs) = ([], .chain, nil, nil)
      return
    }
    let rehearsals = (0..<configuration.stageCount).map { index in
      let stage = configuration.stage(index)
      return Rehearsals(
        stage, corpus: setup.corpus, model: setup.model, teacher: setup.teacherModel(in: stage),
        ranks: communicator.size, products: workspace.productSettings)
    }
    self.rehearsals = rehearsals
    let choice = try ExchangeChoice(measuring: rehearsals[0], world: communicator)
    exchange = choice.kind
    // Only rank 0 prints it: what the process is now, and what the run adds.
    let added =
      communicator.rank == 0
      ? try rehearsals.map { try Self.runMemory($0, choice, processes: world.processes) }.max() ?? 0
      : 0
    let expectedMemory = communicator.rank == 0 ? ProcessMemory.residentBytes + added : nil
    if !options.forces { try Self.checkMemory(bytes: added, of: world) }
    let folder =
      communicator.rank == 0
      ? try RunFolder.prepare(configuration: configuration, overwrite: options.overwrites) : nil
    if let folder, lock == nil { lock = try RunLock(folder.path) }
    let held = lock
    let run = try Self.run(
      progress, setup, world: communicator, workspace: workspace, exchange: choice.kind, rehearsals)
    self.run = run
    var newlyTrained = 0
    if let checkpoint {
      if progress.reason != nil {
        try run.readWeights(of: checkpoint)
      } else {
        newlyTrained = try run.read(checkpoint)
        try run.readStreams(checkpoint, step: done)
        run.vigilance = StepGuard(
          progress.stage.training,
          memory: try .init(checkpoint.state.vigilance, in: checkpoint.path))
      }
    } else if let model = setup.folder {
      try run.readWeights(model)
    } else {
      run.initializeWeights()
    }
    try Agreement.ofRun(
      from: checkpoint, reading: fingerprint, products: workspace.productSettings
    ).check(communicator)
    let stepsLeft = progress.steps - done
    recording = try options.trace.map {
      try TraceRecording(
        path: $0, stepsLeft: stepsLeft, world: communicator, counters: run.context.counters)
    }
    let (stepsDone, steps) = (done, progress.steps)
    let hosts = try communicator.allGather(world.host.name)
    let launchRanks = try communicator.allGather([world.launchRank]).map { $0[0] }
    let share = min(
      Double(workspace.team.size), Double(world.host.cores) / Double(world.host.ranks))
    let parallelThreads = try communicator.allReduceSum(share)
    outputs = try folder.map { folder in
      let console = Console(steps: steps, every: configuration.log.every)
      let start = StartEvent(
        configuration, setup, steps: steps, frozen: run.model.table.frozenCount,
        folder: folder.path, hosts: hosts, processes: world.processes,
        launchRanks: launchRanks, threads: workspace.team.size,
        parallelThreads: max(1, Int(parallelThreads + 1e-6)), grid: run.grid,
        stepsDone: stepsDone, expectedMemoryBytes: expectedMemory,
        products: workspace.productSettings ?? .plain)
      if !folder.continues { try folder.removeEarlierRun() }
      let log = try RunLog(path: folder.logPath)
      try log.start(start)
      log.recordFaults(stepsDone: stepsDone)
      console.banner(start)
      if let note = Self.launcherNote() { console.note("note: \(note)") }
      return Outputs(folder: folder, lock: held!, log: log, start: start, console: console)
    }
    try announceStage()
    if let checkpoint {
      try outputs?.log.resume(step: done, path: checkpoint.path, changes: changed)
      outputs?.console.resume(step: done, path: checkpoint.path, changes: changed)
    }
    for warning in point?.warnings ?? [] { try warn(warning) }
    try tidy(options, resuming: checkpoint)
    if newlyTrained > 0, let checkpoint {
      try warn(
        "\(Format.number(newlyTrained, of: "tensor")) more are trained than when \(checkpoint.path) was written: the "
          + "moments of all begin anew, from zero")
    }
    if let reason = choice.reason { try warn(reason) }
    if let slow = workspace.productSettings?.warning { try warn(slow) }
    if let warning = setup.warning { try warn(warning) }
    if outputs != nil {
      for notice in (setup.folder?.notices ?? []) + (try setup.teacherNotices()) {
        try warn(notice)
      }
    }
    if configuration.parallel.reproducible > 0, configuration.threads > 1 {
      try warn(
        "threads=\(configuration.threads) is not used: each virtual rank of parallel.reproducible has one"
      )
    }
  }

  /// Bytes that a run adds to the first of its processes: a rehearsed step of rank 0, for each rank that it hosts.
  ///
  /// A checkpoint's copy is not among them: where it does not fit, the run does without.
  static func runMemory(
    _ rehearsals: Rehearsals, _ choice: ExchangeChoice, processes: Int
  ) throws -> Int {
    let step = try rehearsals.step(rank: 0, exchange: choice.kind)
    return rehearsals.ranks / processes * (step.bytes - step.copyBytes)
  }

  /// Refuses a run that needs more memory than a host has left; collective.
  ///
  /// - Parameter bytes: What the run adds to the first process, on rank 0; the others need as much.
  private static func checkMemory(bytes: Int, of world: World) throws {
    let communicator = world.communicator
    let bytes = Int(try communicator.allReduceMaximum(Double(min(bytes, 1 << 60))))
    let processes = max(1, world.host.ranks * world.processes / communicator.size)
    try communicator.together {
      try MemoryShortage.check(
        bytes: bytes, ranks: processes, host: world.host.name,
        left: HostMemory.left(processes: processes))
    }
  }

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
          try outputs?.log.end(reason: reason, steps: done, seconds: seconds())
          outputs?.console.end(reason: reason, steps: done, seconds: seconds(), modelPath: nil)
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
      try outputs.log.end(reason: "finished", steps: done, seconds: seconds())
      outputs.console.end(
        reason: "finished", steps: done, seconds: seconds(),
        modelPath: run.model.lora == nil ? outputs.folder.modelPath : outputs.folder.adapterPath)
    }
    return .finished
  }

  /// Whether the stage at hand minimises a loss of predicted tokens.
  private var predictsTokens: Bool { run.configuration.linearise.transfer == nil }

  private func isDue(_ every: Int) -> Bool { every > 0 && done % every == 0 }

  /// Whether a checkpoint is to be written now: one that comes due while updates are skipped waits for the next update.
  private func checkpointIsDue(asked: Bool) -> Bool {
    owesCheckpoint = owesCheckpoint || asked || isDue(configuration.checkpoint.every)
    guard owesCheckpoint, run.vigilance.skipped == 0 else { return false }
    owesCheckpoint = false
    return true
  }

  /// Whether the last checkpoint is as old as was asked; rank 0's clock counts.
  private var isDueByTime: Bool {
    let minutes = configuration.checkpoint.minutes
    return world.rank == 0 && minutes > 0 && clock() - saved >= 60 * minutes
  }

  /// Trains a step; nil where all ranks stop within it.
  ///
  /// - Parameter stop: Whether this rank asks for that; what `request` tells is heard until the step's end.
  private func step(stop: Bool) throws -> StepOutcome? {
    Phase.enter("step", done + 1)
    let counters = run.context.counters
    counters.reset()
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
      RankFigures(counters, seconds: seconds), world: world)
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

  /// Why the stage ends after the step that is done, the same on all ranks; nil where it goes on.
  private func stageEnd() throws -> StageEnd? {
    let mine = progress.end(after: done)
    guard progress.hasRule else { return mine }
    // Rank 0, whose checkpoint holds the losses, decides for all.
    let ends = try world.allReduceSum(world.rank == 0 && mine != nil ? 1 : 0) > 0
    return ends ? mine ?? .steps(done - progress.place.start) : nil
  }

  /// Ends a stage with a checkpoint, from which the next begins: as a run would that goes on from there.
  private func beginStage(after end: StageEnd) throws {
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
  private static func run(
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

  private func announceStage() throws {
    guard progress.hasStages, let outputs else { return }
    let event = progress.event(run, done: done)
    try outputs.log.stage(event)
    outputs.console.stage(event, steps: progress.steps)
  }

  /// Makes sure that what the run writes still lies in its folder, and makes anew what somebody removed.
  ///
  /// - Throws: `TrainingError.folderLost` where another run has the folder now.
  private func keepPlace() throws {
    guard let outputs, !outputs.lock.isHeld || !outputs.log.isInPlace else { return }
    let folder = outputs.folder.path
    if !outputs.lock.isHeld {
      if let holder = outputs.lock.holder {
        throw TrainingError.folderLost(folder: folder, to: holder.description)
      }
      try FileSystem.makeFolder(folder)
      self.outputs?.lock = try RunLock(folder)
    }
    if !outputs.log.isInPlace {
      if try outputs.log.reopen() {
        var start = outputs.start
        start.stepsDone = done
        try outputs.log.start(start)
      }
      try warn(
        "\(outputs.log.path) was removed, moved or replaced while the run writes it; it goes on after step \(done) in the file "
          + "that has this name now")
    }
  }

  /// Evaluates; gives whether it came to its end before any rank was asked to stop.
  private func evaluate(until isAskedToStop: () -> Bool) throws -> Bool {
    guard let corpus = evaluationCorpus else {
      history.evaluationIsDue = false
      return true
    }
    Phase.enter("the evaluation after step", done)
    try run.checkWeights()
    let started = ProcessInfo.processInfo.systemUptime
    let steps = configuration.evaluation.steps(of: corpus)
    guard let sums = try run.evaluate(corpus, steps: steps, until: isAskedToStop) else {
      return false
    }
    guard sums.isFinite else {
      throw TrainingError.evaluationNotFinite(step: done, loss: sums.loss)
    }
    history.evaluationIsDue = false
    if sums.targets > 0 { history.evaluationLoss = sums.loss / Double(sums.targets) }
    guard let outputs else { return true }
    if sums.targets == 0, !hasWarnedOfNoTarget.inEvaluation {
      hasWarnedOfNoTarget.inEvaluation = true
      try warn("the evaluation after step \(done) had no token to predict, and so has no loss")
    }
    let report = EvaluationReport(
      step: done, sums: sums, seconds: ProcessInfo.processInfo.systemUptime - started,
      tokensAreBytes: corpus.tokensAreBytes, predictsTokens: predictsTokens, recallChance: chance)
    try outputs.log.evaluation(report)
    outputs.console.evaluation(report)
    if predictsTokens, levels.noteEvaluation(report.loss) {
      try warn(levels.sentence(evaluation: report.loss, step: done))
    }
    return true
  }

  /// What the user should know of what started the ranks.
  private static func launcherNote(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> String? {
    guard environment["OMPI_COMM_WORLD_SIZE"] != nil, environment["LASP_LAUNCHER"] == nil else {
      return nil
    }
    return
      "mpirun kills its ranks a second after SIGTERM or Ctrl-C: send it SIGUSR1 to stop with a checkpoint, or "
      + "start by Launch/mpirun, which does so"
  }

  func warn(_ message: String) throws {
    try outputs?.log.warning(message)
    outputs?.console.warning(message)
  }

  /// Takes the library that a run has had so far, unless the run file names one.
  private static func keepProducts(
    of state: TrainingState?, _ configuration: RunConfiguration, _ workspace: Workspace
  ) throws {
    guard let known = state?.products.flatMap(ProductLibrary.init) else { return }
    workspace.use(try configuration.products(choosing: known))
  }
}
