import ArgumentParser
import Inference
import Training

/// `lasp-train generate`.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a text, token by token, at constant memory and time a token.",
    usage: """
      lasp-train generate <model> --prompt <text> [--tokens <n>] [--temperature <t>] [--top-k <k>] \
      [--top-p <p>] [--seed <n>] [--threads <n>]
      """,
    discussion: "The model must be one of bytes. The same seed gives the same text.")

  @Argument(
    help: "Folder with config.json and model.safetensors.", completion: .directory)
  var model: String

  @OptionGroup var adapter: AdapterOption

  @Option(help: ArgumentHelp("Text to continue.", valueName: "text"))
  var prompt: String

  @Option(help: ArgumentHelp("Number of tokens to generate.", valueName: "n"))
  var tokens = 256

  @Option(
    help: ArgumentHelp(
      "Divisor of the logits; 0 always takes the likeliest token.", valueName: "t"))
  var temperature = 1.0

  @Option(help: ArgumentHelp("Choose among the k likeliest tokens only.", valueName: "k"))
  var topK: Int?

  @Option(
    help: ArgumentHelp(
      "Choose among the likeliest tokens that together have this probability.", valueName: "p"))
  var topP = 1.0

  @Option(help: ArgumentHelp("Seed of the choices.", valueName: "n"))
  var seed = 1

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    if tokens < 0 { throw ValidationError("--tokens \(tokens) is not 0 or more.") }
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature \(temperature) is not a number of 0 or more.")
    }
    if let topK, topK < 1 { throw ValidationError("--top-k \(topK) is not 1 or more.") }
    if !(topP > 0 && topP <= 1) { throw ValidationError("--top-p \(topP) is not in (0, 1].") }
    if seed < 0 { throw ValidationError("--seed \(seed) is not 0 or more.") }
  }

  func run() throws {
    try Generation(
      modelFolder: model, adapter: adapter.path, prompt: prompt, tokens: tokens,
      sampler: Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed),
      threads: overrides.load().threads
    ).run()
  }
}
