import ArgumentParser
import Training

/// `lasp-train evaluate`.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compute a model's loss on a file, or its logits and gradients on given tokens.",
    usage: """
      lasp-train evaluate <model> --data.path <file> \(OverrideOptions.usage)
      lasp-train evaluate <model> --tokens <file> --output <file> [--gradients]
      """,
    discussion: """
      With --data.path: prints the loss over the whole file as one stream, in nats a token, and \
      bits per byte or perplexity. The state is carried over windows of sequence.length tokens.

      With --tokens: reads input_ids [B, T] and writes logits [B, T, vocabulary], loss (the \
      mean over the first T-1 positions of all rows) and, with --gradients, grad.<name> of each \
      parameter.

      Alone or under mpirun, whose ranks then share each sequence. The model may be by anybody, \
      in Hugging Face's layout of a model that this program knows.

      \(OverrideOptions.help)
      """)

  @Argument(
    help: "Folder with config.json and model.safetensors.", completion: .directory)
  var model: String

  @Option(
    help: ArgumentHelp("Safetensors file with input_ids, I32 or I64, [B, T].", valueName: "file"),
    completion: .file())
  var tokens: String?

  @Option(
    help: ArgumentHelp("Safetensors file to write, with --tokens.", valueName: "file"),
    completion: .file())
  var output: String?

  @Flag(help: "Write the gradient of every parameter too, with --tokens.")
  var gradients = false

  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    if tokens == nil, output != nil || gradients {
      throw ValidationError("--output and --gradients need --tokens FILE.")
    }
    if tokens != nil, output == nil {
      throw ValidationError("--tokens needs --output FILE to write the results to.")
    }
    if (tokens == nil) != overrides.gives("data.path") {
      throw ValidationError("Give either --tokens FILE or --data.path FILE.")
    }
  }

  func run() throws {
    let configuration = try overrides.load()
    let subject: EvaluateRequest.Subject =
      if let tokens, let output {
        .tokens(file: tokens, output: output, gradients: gradients)
      } else {
        .data
      }
    try Evaluation.run(
      EvaluateRequest(modelFolder: model, subject: subject, configuration: configuration))
  }
}
