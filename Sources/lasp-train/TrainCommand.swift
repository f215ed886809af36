import ArgumentParser
import Faults
import Training

/// `lasp-train train`, and `lasp-train` alone.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model, or plan the training of one.",
    usage: """
      lasp-train [<run file>] [--overwrite] [--trace <file>] \(OverrideOptions.usage)
      lasp-train --resume <run> [<run file>] [--accept-changes] [--forget] \(OverrideOptions.usage)
      lasp-train [<run file>] --dry-run [--ranks <P>] \(OverrideOptions.usage)
      lasp-train [<run file>] --print-config \(OverrideOptions.usage)
      """,
    discussion: """
      A run writes its log, its checkpoints and in the end its model in runs/<name>, or in \
      log.directory. --resume runs/<name> goes on from its last checkpoint that is whole, which holds the run file; \
      --resume with a checkpoint goes back to that one, and later ones are set aside.

      SIGTERM, SIGINT, SIGHUP or SIGUSR1 to any rank or to Launch/mpirun, or SIGUSR1 to mpirun, ends the \
      run after the step, with a checkpoint and exit code 75; a second SIGINT ends it at once. SIGUSR2 \
      asks for a checkpoint. training.max_minutes and the end of a Slurm allocation end it likewise.

      \(OverrideOptions.help)
      """)

  @Argument(
    help: ArgumentHelp(
      "YAML file of what differs from the default; without one, the built-in default.",
      valueName: "run file"), completion: .file())
  var config: String?

  @Flag(help: "Replace an earlier run in the same folder, which is refused else.")
  var overwrite = false

  @Flag(help: "Begin a run that seems to need more memory than there is, which is refused else.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Go on with a run, or from one of its checkpoints, by the run file in it.", valueName: "run"),
    completion: .directory)
  var resume: String?

  @Flag(help: "Go on although the model or the data are others than the checkpoint's.")
  var acceptChanges = false

  @Flag(help: "Delete checkpoints of the run that were set aside.")
  var forget = false

  @Option(
    help: ArgumentHelp(
      "Write a timeline of \(TraceRecording.steps) early steps with a lane a rank; ui.perfetto.dev shows it.",
      valueName: "file"), completion: .file())
  var trace: String?

  @Flag(
    help: "Check everything as a run would, print its grid, memory, bytes sent and time, and stop.")
  var dryRun = false

  @Option(help: ArgumentHelp("Ranks to plan for, with --dry-run (default: 1).", valueName: "P"))
  var ranks: Int?

  @Flag(help: "Print the run file with all its keys, a comment for each, and stop.")
  var printConfig = false

  @OptionGroup var console: ConsoleOption
  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    guard let ranks else { return }
    guard dryRun else {
      throw ValidationError("--ranks is for --dry-run; start a real run with mpirun -n \(ranks).")
    }
    guard ranks >= 1 else { throw ValidationError("--ranks \(ranks) is not 1 or more.") }
  }

  func run() throws {
    if printConfig || dryRun { StopSignal.release() }
    let configuration =
      try resume.map {
        try RunConfiguration.resuming($0, file: config, overrides: overrides.overrides)
      } ?? overrides.load(file: config)
    if printConfig {
      print(try configuration.printed(), terminator: "")
    } else if dryRun {
      try Plan.run(configuration, ranks: ranks ?? 1)
    } else {
      var options = TrainingOptions()
      (options.overwrites, options.acceptsChanges) = (overwrite, acceptChanges)
      (options.forgets, options.trace, options.forces) = (forget, trace, force)
      options.console = console.mode
      let end = try Trainer.run(configuration, options)
      if end != .finished { throw ExitCode(end.exitReason.rawValue) }
    }
  }
}
