import ArgumentParser
import Training

/// `lasp-train evaluate`.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compute a model's loss on a file, or its logits and gradients on given tokens.",
    discussion: """
      lasp-train evaluate MODEL --data.path FILE
        prints the loss and the bits per byte of the file as one stream.
      lasp-train evaluate MODEL --tokens IN.safetensors --output OUT.safetensors --gradients
        reads input_ids [B, T] and writes logits, loss, and grad.<name> of each parameter.

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
