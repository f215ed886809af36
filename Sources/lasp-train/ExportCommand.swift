import ArgumentParser
import Inference

/// `lasp-train export`.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model anew: in fp32, and with its adapter merged into its weights.",
    usage: "lasp-train export <model> <output> [--adapter <folder>] [--merge]",
    discussion: """
      With --merge every adapted weight becomes W + s·B·A, computed in fp32; the folder that is written then needs no \
      adapter.
      """)

  @Argument(
    help: "Folder with config.json and model.safetensors, or an adapter's.",
    completion: .directory)
  var model: String

  @Argument(help: "Folder to write.", completion: .directory)
  var output: String

  @OptionGroup var adapter: AdapterOption

  @Flag(help: "Add the adapter to the weights.")
  var merge = false

  func run() throws {
    let count = try Export(modelFolder: model, adapter: adapter.path, merges: merge).write(output)
    print(
      count > 0
        ? "\(output): \(count) projections have their adapters merged" : "\(output) is written")
  }
}
