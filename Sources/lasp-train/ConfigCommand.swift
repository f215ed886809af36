import ArgumentParser
import Training

/// `lasp-train config`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Print a run file with all its keys, or the reference of all keys.",
    usage: "lasp-train config [<run file>] [--reference] \(OverrideOptions.usage)",
    discussion: OverrideOptions.help)

  @Argument(
    help: ArgumentHelp(
      "YAML file of what differs from the default; without one, the built-in default.",
      valueName: "run file"), completion: .file())
  var config: String?

  @Flag(help: "Print the type, default and meaning of every key, as Markdown.")
  var reference = false

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    let configuration = try overrides.load(file: config)
    print(try reference ? RunConfiguration.reference : configuration.printed(), terminator: "")
  }
}
