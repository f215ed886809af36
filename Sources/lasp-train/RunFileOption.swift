import ArgumentParser
import Configuration
import Training

/// The run file of commands whose argument is something else: a folder, a method, nothing.
struct RunFileOption: ParsableArguments {
  @Option(
    name: .customLong("config"),
    help: ArgumentHelp(
      "Run file with the keys that are not given here.", valueName: "run file"),
    completion: .file())
  var path: String?

  /// How it stands in the usage of a command.
  static let usage = "[--config <run file>]"
}
