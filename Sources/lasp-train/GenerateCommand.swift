import ArgumentParser
import Files
import Foundation
import Inference
import Reporting
import Training

/// `lasp-train generate`.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a text, token by token, at constant memory and time a token.",
    usage: """
      lasp-train generate <model> (--prompt <text> | --prompt-file <file>) [--chat [--system <text>] | --raw] \
      [--tokens <n>] [--stop <text> ...] [--temperature <t>] [--top-k <k>] [--top-p <p>] [--seed <n>] \
      [--adapter <folder>] [--precision <p>] \(RunFileOption.usage) [--threads <n>]
      """,
    discussion: """
      The text is read by the tokenizer in the model's folder; a model without one is of bytes. What is generated \
      ends with the model's end token, with a text given by --stop, or after --tokens tokens. The same seed gives \
      the same text.

      With --chat the prompt is a question, written as the model's chat template says, if that is of a known form: \
      ChatML, Llama 2, Llama 3 or Mistral. With --raw nothing is put around the prompt: special tokens that belong \
      there are written in it.
      """)

  @Argument(
    help: "Folder with config.json and model.safetensors.", completion: .directory)
  var model: String

  @OptionGroup var adapter: AdapterOption

  @OptionGroup var precision: PrecisionOption

  @Option(help: ArgumentHelp("Text to continue.", valueName: "text"))
  var prompt: String?

  @Option(
    help: ArgumentHelp("File with the text; - reads standard input.", valueName: "file"),
    completion: .file())
  var promptFile: String?

  @Flag(help: "Write the prompt as a question, by the model's chat template.")
  var chat = false

  @Option(help: ArgumentHelp("What the model is told before, with --chat.", valueName: "text"))
  var system: String?

  @Flag(help: "Put nothing around the prompt.")
  var raw = false

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Text that ends what is generated; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Option(help: ArgumentHelp("Number of tokens to generate at most.", valueName: "n"))
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

  @OptionGroup var console: ConsoleOption

  @OptionGroup var runFile: RunFileOption

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    try precision.check(against: overrides)
    if (prompt == nil) == (promptFile == nil) {
      throw ValidationError("Give one of --prompt TEXT and --prompt-file FILE.")
    }
    if chat, raw {
      throw ValidationError("--chat writes what --raw leaves away; give one of them.")
    }
    if system != nil, !chat { throw ValidationError("--system needs --chat.") }
    if stop.contains("") { throw ValidationError("--stop needs at least one character.") }
    if tokens < 0 { throw ValidationError("--tokens \(tokens) is not 0 or more.") }
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature \(temperature) is not a number of 0 or more.")
    }
    if let topK, topK < 1 { throw ValidationError("--top-k \(topK) is not 1 or more.") }
    if !(topP > 0 && topP <= 1) { throw ValidationError("--top-p \(topP) is not in (0, 1].") }
    if seed < 0 { throw ValidationError("--seed \(seed) is not 0 or more.") }
  }

  func run() throws {
    let configuration = try overrides.load(file: runFile.path, defaults: precision.overrides)
    let products = try configuration.productsOfWeightsThatStay()
    let output = TerminalOutput.standard(console.mode)
    if let slow = products.warning { output.warning(slow) }
    var generation = Generation(
      modelFolder: model, adapter: adapter.path, prompt: try text(), tokens: tokens,
      sampler: Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed),
      threads: configuration.threads, products: products)
    generation.form = chat ? .chat(system: system) : raw ? .raw : .text
    generation.stops = stop
    generation.progress = ProgressDisplay("reading the prompt", output: output)
    try generation.run()
  }

  private func text() throws -> String {
    if let prompt { return prompt }
    guard let promptFile, promptFile != "-" else {
      return String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
    }
    return String(decoding: try MappedFile(path: promptFile).data, as: UTF8.self)
  }
}
