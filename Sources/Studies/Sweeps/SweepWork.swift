import Foundation
import MessagePassing
import Observation
import Reporting
import Synchronization
import Tensors

/// The runs of a sweep at work, some at once.
final class SweepWork: Sendable {
  /// What the threads share.
  private struct Shared {
    var waiting: ArraySlice<SweepRun>
    var running: [SweepRun] = []
    var ended: Set<String> = []
    /// What ends the sweep as a whole.
    var fatal: (any Error)?
  }

  private let sweep: Sweep
  private let plan: SweepPlan
  private let runs: [SweepRun]
  private let folder: SweepFolder
  private let output: TerminalOutput
  private let launcher: MPILauncher?
  private let environment: [String: String]
  private let threads: Int?
  private let shared: Mutex<Shared>
  private let runner: JobRunner

  /// Whether the user, or the system, has asked for an end.
  var isInterrupted: Bool { runner.isInterrupted }

  /// - Parameter runs: Those that are to be done.
  /// - Throws: `JobError` where ranks cannot be started.
  init(
    _ sweep: Sweep, _ plan: SweepPlan, _ runs: [SweepRun], in folder: SweepFolder,
    output: TerminalOutput
  ) throws {
    (self.sweep, self.plan, self.runs, self.folder) = (sweep, plan, runs, folder)
    self.output = output
    let isAlone = plan.section.ranks == 1 && sweep.launcher == nil && sweep.hostfile == nil
    launcher =
      isAlone ? nil : try MPILauncher(launcher: sweep.launcher, hostfile: sweep.hostfile)
    let jobs = min(plan.section.jobs, runs.count)
    var environment = launcher?.environment ?? ProcessInfo.processInfo.environment
    if jobs > 1, launcher != nil {
      // Each mpirun would bind its ranks to the same first cores.
      let policy = "OMPI_MCA_hwloc_base_binding_policy"
      environment[policy] = environment[policy] ?? "none"
    }
    self.environment = environment
    threads =
      jobs > 1
      ? max(1, Host(ranks: 1, index: 0).cores / (jobs * plan.section.ranks)) : nil
    shared = Mutex(Shared(waiting: runs[...]))
    runner = JobRunner(asking: SIGUSR1)
  }

  /// Does all runs.
  ///
  /// - Throws: What none of them can do without; a run that fails is noted in its folder, and the others go on.
  func run() throws {
    try folder.write(plan, of: sweep.file)
    guard !runs.isEmpty else { return }
    let table = SweepTable(plan, width: output.width)
    output.line("")
    output.line(table.heading)
    let group = DispatchGroup()
    for _ in 0..<min(plan.section.jobs, runs.count) {
      group.enter()
      Thread.detachNewThread { [self] in
        while let run = next() { perform(run, table) }
        group.leave()
      }
    }
    var progress = SweepProgress(runs, in: folder, output: output)
    while group.wait(timeout: .now() + 0.5) == .timedOut {
      let (running, ended) = shared.withLock { ($0.running, $0.ended) }
      progress.show(running: running, ended: ended)
    }
    progress.end()
    if let error = shared.withLock({ $0.fatal }) { throw error }
  }

  private func next() -> SweepRun? {
    shared.withLock {
      guard !runner.isInterrupted, $0.fatal == nil, let run = $0.waiting.popFirst() else {
        return nil
      }
      $0.running.append(run)
      return run
    }
  }

  /// Does a run, and says how it ended.
  private func perform(_ run: SweepRun, _ table: SweepTable) {
    do {
      // Another sweep in the same folder may have begun it meanwhile.
      if try folder.state(run) != .running { try start(run) }
      let record = try folder.record(run)
      let state = folder.state(run, record)
      if state == .finished { try folder.tidy(run, keeping: plan.section.keep) }
      shared.withLock {
        $0.running.removeAll { $0.name == run.name }
        $0.ended.insert(run.name)
        output.foot?("")
        output.line(table.row(run, RunFigures(record), state))
      }
      try write()
    } catch {
      shared.withLock { $0.fatal = $0.fatal ?? error }
    }
  }

  private func start(_ run: SweepRun) throws {
    try folder.prepare(run)
    try write()
    let place = folder.place(run)
    let given = run.configuration.given.contains("threads")
    let arguments =
      ["train", "\(place)/run.yaml", "--log.directory=\(place)", "--training.resume=auto"]
      + (given ? [] : threads.map { ["--threads=\($0)"] } ?? []) + ["--console=plain"]
    let words =
      launcher?.command(ranks: plan.section.ranks, arguments: arguments)
      ?? [RunningProgram.path] + arguments
    do {
      try runner.run(words, environment: environment, output: folder.output(run))
    } catch JobError.interrupted {
      // It goes on from its checkpoint.
    } catch JobError.failed(75, _, _) {
      // As above: training.max_minutes, the end of an allocation, or a signal that was not to the sweep.
    } catch JobError.failed(let code, let words, _) {
      try folder.note(run, code: Int(code), words: words.isEmpty ? "it said nothing" : words)
    }
  }

  private func write() throws {
    try shared.withLock { _ in try folder.write(plan, of: sweep.file) }
  }
}

/// How far the runs of a sweep are, at a terminal's foot or now and then.
private struct SweepProgress {
  private let runs: [SweepRun]
  private let folder: SweepFolder
  private let display: ProgressDisplay
  private var followers: [String: LogFollower] = [:]
  /// What was done of each before.
  private let begun: [String: Int]

  init(_ runs: [SweepRun], in folder: SweepFolder, output: TerminalOutput) {
    (self.runs, self.folder) = (runs, folder)
    display = ProgressDisplay("sweep", output: output)
    begun = Dictionary(
      uniqueKeysWithValues: runs.map { run in
        (run.name, (try? folder.record(run))?.steps.last?.number ?? 0)
      })
  }

  /// Work of a step, which grows with the model.
  private func cost(_ run: SweepRun) -> Double {
    Double(run.tokensPerStep) * Double(run.parameters)
  }

  mutating func show(running: [SweepRun], ended: Set<String>) {
    var steps: [String: Int] = [:]
    for run in running {
      var follower = followers[run.name] ?? LogFollower(run: folder.place(run))
      _ = try? follower.poll()
      steps[run.name] = follower.record.steps.last?.number ?? 0
      followers[run.name] = follower
    }
    for name in ended { followers[name] = nil }
    var (done, total) = (0.0, 0.0)
    for run in runs {
      let before = begun[run.name] ?? 0
      total += Double(run.steps - before) * cost(run)
      let now = ended.contains(run.name) ? run.steps : steps[run.name] ?? before
      done += Double(max(0, now - before)) * cost(run)
    }
    let at = running.map { "\($0.name) \(steps[$0.name] ?? 0)/\($0.steps)" }
    display.show(
      done, of: total,
      note: (["\(ended.count) of \(runs.count) done"] + at).joined(separator: "  "))
  }

  func end() { display.end() }
}
