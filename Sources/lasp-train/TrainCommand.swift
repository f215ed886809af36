import ArgumentParser
import Training

/// `lasp-train train`, and `lasp-train` alone.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model, or plan the training of one (the default).",
    discussion: OverrideOptions.help)

  @Argument(help: "Run file; without one, the built-in default.", completion: .file())
  var config: String?

  @Flag(help: "Print the resolved run file, a comment for each key, and stop.")
  var printConfig = false

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    let configuration = try overrides.load(file: config)
    if printConfig { return print(configuration.resolved, terminator: "") }
  }
}
