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

/// One rank's run from start to end: steps, evaluations, checkpoints, and on rank 0 the log.
final class TrainingSession {
  let configuration: RunConfiguration
  let world: any Communicator
  let workspace: Workspace
  let setup: RunSetup
  let exchange: ExchangeKind
  /// The rehearsals of each stage.
  let rehearsals: [Rehearsals]
  /// The stage that is trained; nothing only while one makes room for the next.
  var run: TrainingRun!
  var progress: StageProgress
  let evaluationCorpus: (any Corpus)?
  let chance: Double?
  var owesCheckpoint = false
  /// The checkpoint that is being written.
  var inFlight: CheckpointInFlight?
  /// Why the last checkpoint was not written, the same on all ranks but for its words.
  var saveProblem: String?
  /// Whether it has been told why checkpoints are not written beside the run.
  var hasToldOfWriting = false
  /// What a rank's thread does before it writes; for tests.
  var beforeWriting: @Sendable () throws -> Void = {}
  /// Seconds that the run stands still for a disk at most.
  lazy var diskPatience = 10 * configuration.parallel.timeout
  /// Whether this rank sees a file of rank 0's.
  var sees: (String) -> Bool = FileSystem.exists
  /// Ranks that share this host's memory.
  let ranksOfHost: Int
  var levels: LossLevels
  var outputs: Outputs?
  let origin: ModelFolder.Origin?
  let tokenizerFiles: TokenizerFiles?
  let recording: TraceRecording?
  /// Steps done.
  var done: Int
  /// What checkpoints tell of the run so far.
  var history: RunHistory
  /// What to say of a run that has come to its end before; nil for one that goes on.
  let nothingToDo: String?
  /// Seconds of a clock that never goes back.
  var clock: () -> Double = { ProcessInfo.processInfo.systemUptime }
  /// When the last checkpoint was written, or the run began.
  var saved = 0.0
  /// What tells the files that the run reads from others.
  let fingerprint: DataFingerprint
  /// When this rank asks all to stop.
  var request: StopRequest
  var savesDone = StopSignal.savesAsked
  /// What stands between this rank's host and its processors.
  var pressure = ProcessorPressure.Reader()
  /// What makes the run slow; on rank 0.
  var slowCauses = SlowCauses(hosts: [], cores: [:])
  var hasWarnedOfNoTarget = (inStep: false, inEvaluation: false)

  /// What rank 0 writes with.
  struct Outputs {
    let folder: RunFolder
    /// That nobody else writes there.
    var lock: RunLock
    let log: RunLog
    /// What the log begins with.
    let start: StartEvent
    let console: Console
    /// TensorBoard's events, if they are asked for.
    var board: RunBoard?
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
    let expectedMemory =
      communicator.rank == 0
      ? ProcessMemory.residentBytes + Plan.computingBytes + Plan.reportingBytes + added : nil
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
    let cores = try communicator.allGather([world.host.cores]).map { $0[0] }
    slowCauses = SlowCauses(
      hosts: hosts, cores: Dictionary(zip(hosts, cores)) { max($0, $1) })
    let findings = try HostFindings.gather(world, threads: workspace.team.size)
    let launchRanks = try communicator.allGather([world.launchRank]).map { $0[0] }
    let share = min(
      Double(workspace.team.size), Double(world.host.cores) / Double(world.host.ranks))
    let parallelThreads = try communicator.allReduceSum(share)
    outputs = try folder.map { folder in
      let console = Console(
        steps: steps, every: configuration.log.every, output: .standard(options.console))
      let start = StartEvent(
        configuration, setup, steps: steps, frozen: run.model.table.frozenCount,
        folder: folder.path, hosts: hosts, processes: world.processes,
        launchRanks: launchRanks, threads: workspace.team.size,
        parallelThreads: max(1, Int(parallelThreads + 1e-6)), grid: run.grid,
        stepsDone: stepsDone, expectedMemoryBytes: expectedMemory,
        products: workspace.productSettings ?? .plain)
      if !folder.continues { try folder.removeEarlierRun() }
      let log = try RunLog(path: folder.logPath, ranks: configuration.log.ranks)
      try log.start(start)
      log.recordFaults(stepsDone: stepsDone)
      recording?.hasWritten = { steps, path in
        console.trace(steps, path: path)
        try? log.trace(steps, path: path)
      }
      console.banner(start)
      if let note = Self.launcherNote() { console.advice("note: \(note)") }
      return Outputs(
        folder: folder, lock: held!, log: log, start: start, console: console,
        board: configuration.log.tensorboard ? RunBoard(folder: folder.path, start) : nil)
    }
    try outputs?.board?.problem.map { try warn($0) }
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
    for finding in findings where finding.matters { try warn(finding.sentence) }
    if let slow = outputs?.start.slowKernels { try warn(slow) }
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

  /// What the user should know of what started the ranks.
  private static func launcherNote(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> String? {
    guard environment["OMPI_COMM_WORLD_SIZE"] != nil, environment["LASP_LAUNCHER"] == nil else {
      return nil
    }
    return
      "mpirun kills its ranks two seconds after SIGTERM or Ctrl-C: send it SIGUSR1 to stop with a checkpoint, or "
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
