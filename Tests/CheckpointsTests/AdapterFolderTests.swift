import Autodiff
import Configuration
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite("Folders of adapters")
struct AdapterFolderTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private static let model: [String: JSONValue] = [
    "model_type": "gla", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2,
    "num_heads": 2, "intermediate_size": 8,
  ]

  private static let adapter: [String: JSONValue] = [
    "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"],
    "base_model_name_or_path": "../base",
  ]

  /// Writes a model in `base`, and an adapter of it in `adapter`.
  private func write(
    _ keys: [String: JSONValue] = [:], without: Set<String> = [],
    tensors change: ([TensorDescription]) -> [TensorDescription] = { $0 }
  ) throws {
    let architecture = try Architectures.read(.object(Self.model)).architecture
    let lora = LoRA(.suffixes(["q_proj"]), rank: 2, alpha: 4)
    let model = try LanguageModel(architecture, adapting: lora)
    let zeros = [Float](repeating: 0, count: model.table.count)
    try zeros.withUnsafeBufferPointer { zeros in
      try ModelFolder.write(LanguageModel(architecture), to: files.file("base")) {
        try $0(0..<LanguageModel(architecture).table.count, zeros.baseAddress!)
      }
    }
    try FileManager.default.createDirectory(
      atPath: files.file("adapter"), withIntermediateDirectories: true)
    try files.write(
      "adapter/adapter_config.json",
      JSONValue.object(Self.adapter.merging(keys) { $1 }.filter { !without.contains($0.key) })
        .encoded)
    let described = change(
      model.adapterTensors.map {
        TensorDescription("base_model.model." + $0.name, shape: $0.shape.dimensions)
      })
    let writer = try SafetensorsWriter(
      path: files.file("adapter/adapter_model.safetensors"), tensors: described)
    for tensor in described {
      let numbers = [Float](repeating: 0.5, count: tensor.shape.reduce(1, *))
      try numbers.withUnsafeBufferPointer { try writer.write(tensor.name, $0) }
    }
    try writer.finish()
  }

  private func problem(_ path: String = "adapter") -> String {
    do {
      _ = try ModelFolder(path: files.file(path))
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("An adapter's folder is opened with the model that it names")
  func opens() throws {
    try write()
    let folder = try ModelFolder(path: files.file("adapter"))
    #expect(folder.adapter?.path == files.file("adapter"))
    #expect(folder.path == files.file("adapter") + "/../base")
    #expect(folder.model.adapterTensors.count == 4)
    let store = WholeParameters(
      table: folder.model.table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    for entry in folder.model.table.entries {
      let numbers = UnsafeBufferPointer(
        start: store.values.pointer + entry.range.lowerBound, count: entry.range.count)
      #expect(numbers.allSatisfy { $0 == (entry.isAdapter ? 0.5 : 0) }, "\(entry.name)")
    }
  }

  @Test(
    "What would be computed otherwise is refused by the name of its key",
    arguments: [
      (["use_dora": true], "use_dora is true"), (["bias": "all"], "bias is \"all\""),
      (["fan_in_fan_out": true], "fan_in_fan_out is true"),
      (["layer_replication": [[0, 1]]], "layer_replication is [[0,1]]"),
      (["peft_type": "IA3"], "peft_type is IA3, and only LORA is read"),
      (["init_lora_weights": "pissa_niter_4"], "init_lora_weights is pissa_niter_4"),
      (["r": 0], "r is no rank"),
      (["r": .integer(.max)], "a rank is from 1 to 1048576"),
      (["rank_pattern": ["q_proj": .integer(1 << 60)]], "a rank is from 1 to 1048576"),
      (["target_modules": .null], "it has no target_modules"),
      (["target_modules": "(q"], "a regular expression that cannot be read"),
      (["trainable_token_indices": [1]], "trainable_token_indices is [1]"),
      (["base_model_name_or_path": "someone/model"], "its base model someone/model is no folder"),
      (["target_modules": ["nothing"]], "no projection of the model fits nothing; it has q_proj"),
      (["r": 3], "q_proj.lora_A.weight is [2, 8] but must be [3, 8]"),
      (["target_modules": ["q_proj", "k_proj"]], "k_proj.lora_A.weight [2, 8] is missing"),
      (
        ["layers_to_transform": 1],
        "the model has no place for base_model.model.model.layers.0.attn.q_proj.lora_A.weight"
      ),
    ] as [([String: JSONValue], String)])
  func refused(keys: [String: JSONValue], reason: String) throws {
    try write(keys)
    #expect(problem().contains(reason), "\(problem())")
  }

  @Test("A pickle is never opened, and folders without a file are named")
  func pickle() throws {
    try write()
    try FileManager.default.removeItem(atPath: files.file("adapter/adapter_model.safetensors"))
    #expect(problem().contains("is no adapter's folder: it has no adapter_model.safetensors"))
    try files.write("adapter/adapter_model.bin", Data())
    #expect(problem().contains("it is a pickle, which can run programs and is never opened"))
    #expect {
      _ = try ModelFolder(path: files.file("base"), adapter: files.file("base"))
    } throws: {
      "\($0)".contains("is no adapter's folder: it has no adapter_config.json")
    }
  }

  @Test("Patterns of ranks and α are tried in the order in which PEFT writes them")
  func order() throws {
    let keys = Self.adapter.merging([
      "rank_pattern": ["q_proj": 3, "layers.1.attn.q_proj": 5, "attn.k": 2],
      "alpha_pattern": ["v": 1, "q": 2.5],
    ]) { $1 }
    let lora = try AdapterKeys(.object(keys), path: "").lora()
    #expect(lora.ranks.map(\.pattern) == ["attn.k", "layers.1.attn.q_proj", "q_proj"])
    #expect(lora.ranks.map(\.rank) == [2, 5, 3])
    #expect(lora.alphas.map(\.alpha) == [2.5, 1])
  }

  @Test("Two adapters at once are refused")
  func two() throws {
    try write()
    #expect {
      _ = try ModelFolder(path: files.file("adapter"), adapter: files.file("adapter"))
    } throws: {
      "\($0)".contains("name a model, or one adapter")
    }
    #expect(try ModelFolder.modelPath(files.file("base")) == files.file("base"))
    #expect(try ModelFolder.modelPath(files.file("adapter")) == files.file("adapter") + "/../base")
  }

  @Test("Dropout is said to be left out")
  func dropout() throws {
    try write(["lora_dropout": 0.05])
    let notices = try ModelFolder(path: files.file("adapter")).notices
    #expect(notices.contains { $0.contains("lora_dropout of 0.05, which is not applied") })
  }
}
