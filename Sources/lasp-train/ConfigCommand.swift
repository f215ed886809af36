import ArgumentParser
import Training

/// `lasp-train config`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Print the resolved run file, or the reference of its keys.",
    discussion: OverrideOptions.help)

  @Argument(help: "Run file; without one, the built-in default.", completion: .file())
  var config: String?

  @Flag(help: "Print every key with its type, default and meaning as Markdown.")
  var reference = false

  @OptionGroup var overrides: OverrideOptions

  func run() throws {
    let configuration = try overrides.load(file: config)
    print(reference ? RunConfiguration.reference : configuration.resolved, terminator: "")
  }
}
