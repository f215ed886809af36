import ArgumentParser
import Foundation
import Inference
import MessagePassing
import SequenceParallel
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
    let (model, gradients, parallel) = (model, gradients, configuration.parallel)
    let given = tokens.flatMap { tokens in output.map { (tokens: tokens, output: $0) } }
    try RankProgram.run(configuration) { world, workspace in
      let ranks = world.communicator
      if let given {
        let loss = try TokenEvaluation(
          modelFolder: model, gradients: gradients, exchange: parallel.exchange.kind ?? .chain,
          attention: parallel.attention, world: ranks, workspace: workspace
        ).run(tokens: given.tokens, output: given.output)
        guard ranks.rank == 0 else { return }
        print("loss \(String(format: "%.6f", loss)) nats a token; results in \(given.output)")
      } else {
        let result = try StreamEvaluation(
          modelFolder: model, data: configuration.data, length: configuration.sequence.length,
          parallel: parallel, world: ranks, workspace: workspace
        ).run()
        if ranks.rank == 0 { print(result.description) }
      }
    }
  }
}
