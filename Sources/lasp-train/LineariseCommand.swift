import ArgumentParser
import Configuration
import Inference
import Models
import Training

/// `lasp-train linearise`.
struct LineariseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "linearise",
    abstract:
      "Make a linear model of a pretrained Transformer: exchange its attention for a recurrence.",
    usage: """
      lasp-train linearise <model> <output> --method <method> [--layers <n> ...] [--seed <n>] \
      \(RunFileOption.usage) \(OverrideOptions.usage)
      """,
    discussion: """
      Writes a new folder with the Transformer's weights and those that the method adds, which are not trained yet. \
      Then train it, or do both at once from a run file with a section linearise:

      lasp-train linearise LLAMA OUT --method lolcats --model.lolcats.window 32
      lasp-train linearise LLAMA OUT --method liger_gla --layers 0 1 2 5
      lasp-train linearise LLAMA OUT --method xatl --model.mixer gated_deltanet
      lasp-train --model.from OUT --linearise.stage transfer --data.path TEXT

      \(OverrideOptions.help)
      """)

  @Argument(
    help: "Folder of a Transformer: llama, mistral, qwen2 or qwen3.", completion: .directory)
  var model: String

  @Argument(help: "Folder to write.", completion: .directory)
  var output: String

  @Option(
    help: ArgumentHelp(
      "What is made of it: \(Linearisation.methods.joined(separator: ", ")).",
      valueName: "method"))
  var method: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Layers whose attention is exchanged; all if not given.", valueName: "n"))
  var layers: [Int] = []

  @Option(help: ArgumentHelp("Seed of the weights that are added.", valueName: "n"))
  var seed = 1

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    guard Linearisation.methods.contains(method) else {
      throw ValidationError(
        "there is no method \(method); choose one of \(Linearisation.methods.joined(separator: ", "))."
      )
    }
  }

  func run() throws {
    let configuration = try overrides.load(
      file: runFile.path,
      defaults: [Override("model.from=\(model)"), Override("linearise.method=\(method)")])
    let copy = try LinearisedCopy(
      modelFolder: model,
      by: Linearisation(method, layers: layers, configuration.model), seed: seed)
    try copy.write(output)
    print("\(output): \(method) of \(model)")
    for line in copy.report { print(line) }
  }
}
