import ArgumentParser
import Training

/// `lasp-train train`, and `lasp-train` alone.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model, or plan the training of one.",
    discussion: OverrideOptions.help)

  @Argument(help: "Run file; without one, the built-in default.", completion: .file())
  var config: String?

  @Flag(help: "Replace the files of an earlier run in the same folder.")
  var overwrite = false

  @Flag(help: "Check everything, print grid, memory, bytes and time of a run, and stop.")
  var dryRun = false

  @Option(help: ArgumentHelp("Ranks to plan for, with --dry-run (default: 1).", valueName: "P"))
  var ranks: Int?

  @Flag(help: "Print the resolved run file, a comment for each key, and stop.")
  var printConfig = false

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    guard let ranks else { return }
    guard dryRun else {
      throw ValidationError("--ranks is for --dry-run; start a real run with mpirun -n \(ranks).")
    }
    guard ranks >= 1 else { throw ValidationError("--ranks \(ranks) is not 1 or more.") }
  }

  func run() throws {
    let configuration = try overrides.load(file: config)
    if printConfig {
      print(configuration.resolved, terminator: "")
    } else if dryRun {
      try Plan.run(DryRunRequest(configuration: configuration, ranks: ranks ?? 1))
    } else {
      try Trainer.run(TrainRequest(configuration: configuration, overwrite: overwrite))
    }
  }
}
