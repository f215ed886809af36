import ArgumentParser
import Configuration
import Models
import Studies
import Training

/// `lasp-train models`.
struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the mixers that models can be made of, or the keys of one.",
    usage: "lasp-train models [NAME] [--config <run file>] \(OverrideOptions.usage)",
    discussion: OverrideOptions.help)

  @Argument(help: ArgumentHelp("A mixer, whose keys are wanted.", valueName: "NAME"))
  var name: String?

  @Option(
    help: ArgumentHelp("Run file whose widths are taken.", valueName: "run file"),
    completion: .file())
  var config: String?

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    guard let name, !ModelSection.mixers.contains(name) else { return }
    let hint =
      nearest(to: name, among: ModelSection.mixers).map { "did you mean \($0)?" }
      ?? "choose one of \(ModelSection.mixers.joined(separator: ", "))."
    throw ValidationError("there is no mixer \(name); \(hint)")
  }

  func run() throws {
    guard let name else { return try ModelList.all(overrides.load(file: config)) }
    try ModelList.one(
      name, overrides.load(file: config, defaults: [Override("model.mixer=\(name)")]))
  }
}
