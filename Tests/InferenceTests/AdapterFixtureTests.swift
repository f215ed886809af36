import Autodiff
import Checkpoints
import Configuration
import Foundation
import Inference
import MessagePassing
import Models
import ReferenceMath
import TemporaryFolders
import Tensors
import Testing

@Suite("Adapters that PEFT wrote")
struct AdapterFixtureTests {
  private let files: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    files = try TemporaryFolder()
  }

  /// A folder of `Tests/Adapters`: a model, an adapter of it, and the logits that PEFT gives.
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Adapters").path

    /// Every folder whose model's type this program knows.
    static let all: [Case] = {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
      return names.sorted().map { Case(testDescription: $0) }.filter { one in
        let configuration = try? JSONValue(file: one.file("base/config.json"))
        guard let type = configuration?["model_type"]?.string else { return false }
        return Architectures.all.contains { $0.modelType == type }
      }
    }()

    func file(_ name: String) -> String { "\(Self.root)/\(testDescription)/\(name)" }
  }

  /// The logits of a case's tokens by a model.
  private func logits(_ one: Case, _ model: String, adapter: String? = nil, ranks: Int = 1) throws
    -> [Float]
  {
    let output = files.file("out.safetensors")
    _ = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      try TokenEvaluation(
        modelFolder: model, adapter: adapter, gradients: false, world: world, workspace: Workspace()
      ).run(tokens: one.file("tokens.safetensors"), output: output)
    }
    return try SafetensorsFile(path: output).readFloats("logits")
  }

  @Test("There are some") func some() { #expect(!Case.all.isEmpty) }

  @Test("Logits are PEFT's, by the adapter's folder or beside its model", arguments: Case.all)
  func reads(one: Case) throws {
    let right = try SafetensorsFile(path: one.file("expected.safetensors")).readFloats("logits")
      .map(Double.init)
    let found = try logits(one, one.file("adapter"))
    #expect(relativeError(found, right) < 2e-5)
    #expect(
      relativeError(
        try logits(one, one.file("base"), adapter: one.file("adapter"), ranks: 3), right) < 2e-5)
    #expect(relativeError(try logits(one, one.file("base")), right) > 1e-2)
  }

  @Test("The merged model gives the same logits, and needs no adapter", arguments: Case.all)
  func merges(one: Case) throws {
    let merged = files.file("merged")
    #expect(try Export(modelFolder: one.file("adapter"), merges: true).write(merged) > 0)
    let found = try logits(one, merged)
    let right = try logits(one, one.file("adapter")).map(Double.init)
    #expect(relativeError(found, right) < 1e-6)
    let folder = try ModelFolder(path: merged)
    #expect(folder.adapter == nil)
  }

  @Test("What is written of an adapter is read as the same, name by name", arguments: Case.all)
  func writes(one: Case) throws {
    let folder = try ModelFolder(path: one.file("adapter"))
    let table = folder.model.table
    let store = WholeParameters(table: table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    let written = files.file("adapter")
    try AdapterFolder.write(folder.model, to: written, base: one.file("base")) {
      try $0(0..<table.count, store.values.pointer)
    }
    let right = try SafetensorsFile(path: one.file("adapter/adapter_model.safetensors"))
    let found = try SafetensorsFile(path: written + "/adapter_model.safetensors")
    // PEFT keeps the base's head, too, where that has an adapter.
    let tensors = right.tensors.filter { !$0.name.contains(".base_layer.") }
    #expect(Set(found.tensors.map(\.name)) == Set(tensors.map(\.name)))
    for tensor in tensors {
      #expect(found.tensor(tensor.name)?.shape == tensor.shape)
      #expect(try found.readFloats(tensor.name) == right.readFloats(tensor.name))
    }
    let again = try AdapterFolder(path: written)
    #expect(again.lora == folder.model.lora)
    let (mine, theirs) = (
      try JSONValue(file: written + "/adapter_config.json"),
      try JSONValue(file: one.file("adapter/adapter_config.json"))
    )
    let free: Set = ["base_model_name_or_path", "target_modules"]
    for (key, value) in mine.object ?? [:] where !free.contains(key) {
      #expect(value.number == theirs[key]?.number, "\(key)")
      if value.number == nil { #expect(value == theirs[key] ?? .null, "\(key)") }
    }
  }

  @Test("Token by token the adapter counts, too", arguments: Case.all)
  func generates(one: Case) throws {
    let generator = try Generator(modelFolder: one.file("adapter"), workspace: Workspace())
    let file = try SafetensorsFile(path: one.file("tokens.safetensors"))
    let length = try #require(file.tensor("input_ids")).shape[1]
    let tokens = try file.readIntegers("input_ids").prefix(length).map { Int32($0) }
    let right = try SafetensorsFile(path: one.file("expected.safetensors")).readFloats("logits")
    let vocabulary = generator.model.vocabulary
    for position in [0..<length - 2, length - 2..<length - 1, length - 1..<length] {
      let found = try generator.read(Array(tokens[position]))
      let last = position.upperBound - 1
      let expected = right[last * vocabulary..<(last + 1) * vocabulary].map(Double.init)
      #expect(relativeError(found, expected) < 2e-5, "token \(last)")
    }
  }

  @Test("Nothing but an adapter that is to be merged is exported with one")
  func refusesExport() throws {
    let one = Case.all[0]
    #expect(throws: ExportError.nothingToMerge(one.file("base"))) {
      try Export(modelFolder: one.file("base"), merges: true)
    }
    #expect(throws: ExportError.unmerged(one.file("adapter"))) {
      try Export(modelFolder: one.file("adapter"), merges: false)
    }
  }
}
