import ArgumentParser
import Configuration
import Training

/// The keys of the run file that were given on the command line.
///
/// `Main` rewrites `--section.key value` to `--set=section.key=value` before the command line is
/// parsed.
struct OverrideOptions: ParsableArguments {
  @Option(name: .customLong("set"), help: ArgumentHelp(visibility: .private))
  var values: [String] = []

  /// How overrides are written, for the help of every command.
  static let help = """
    Every key of the run file can be set here, as --section.key=value or --section.key value. \
    `lasp-train config --reference` lists the keys. --threads N sets the threads of a rank.
    """

  /// How overrides stand in the usage of a command.
  static let usage = "[--section.key=value ...]"

  /// The overrides in their order.
  var overrides: [Override] { values.map { Override($0) } }

  /// Whether a key was given.
  func gives(_ key: String) -> Bool {
    overrides.contains { $0.key == key }
  }

  /// Reads and checks a run file, or the built-in default, with the overrides.
  ///
  /// - Parameters:
  ///   - file: Run file.
  ///   - defaults: What a command sets before its user does.
  func load(file: String? = nil, defaults: [Override] = []) throws -> RunConfiguration {
    try RunConfiguration.load(file: file, overrides: defaults + overrides)
  }
}
