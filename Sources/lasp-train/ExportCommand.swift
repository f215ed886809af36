import ArgumentParser
import Checkpoints
import Inference

/// `lasp-train export`.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model, or that of a checkpoint, anew: rounded, or with its adapter merged.",
    usage: "lasp-train export <model> <output> [--dtype bf16] [--adapter <folder>] [--merge]",
    discussion: """
      With --merge every adapted weight becomes W + s·B·A, computed in fp32; the folder that is written then needs no \
      adapter.
      """)

  @Argument(
    help: "Folder with config.json and model.safetensors, or an adapter's, or a checkpoint.",
    completion: .directory)
  var model: String

  @Argument(help: "Folder to write.", completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("How weights are stored: fp32, or bf16.", valueName: "type"))
  var dtype = WeightFormat.fp32

  @OptionGroup var adapter: AdapterOption

  @Flag(help: "Add the adapter to the weights.")
  var merge = false

  func run() throws {
    let count = try Export(modelFolder: model, adapter: adapter.path, merges: merge).write(
      output, as: dtype)
    print(
      count > 0
        ? "\(output): \(count) projections have their adapters merged" : "\(output) is written")
  }
}

extension WeightFormat: ExpressibleByArgument {}
