import Autodiff
import Configuration
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite("Tensors that follow from a model's keys")
struct ConstantTensorTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private static let keys: [String: JSONValue] = [
    "model_type": "minimax", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 8,
    "num_local_experts": 2, "block_size": 5,
  ]

  /// Writes a folder with constants, each number of them changed.
  private func write(
    _ name: String, constants: [String], changing change: (Float) -> Float = { $0 }
  ) throws {
    let model = LanguageModel(try Architectures.read(.object(Self.keys)).architecture)
    let stored = model.architecture.constants.filter { constant in
      constants.contains { constant.name.hasSuffix($0) }
    }
    try FileManager.default.createDirectory(
      atPath: files.file(name), withIntermediateDirectories: true)
    try JSONValue.object(Self.keys).encoded.write(
      to: URL(fileURLWithPath: files.file(name + "/config.json")))
    let writer = try SafetensorsFolderWriter(
      path: files.file(name),
      tensors: model.tensors.map(\.description)
        + stored.map { TensorDescription($0.name, shape: $0.shape.dimensions) })
    for tensor in model.tensors {
      try [Float](repeating: 0.5, count: tensor.shape.count).withUnsafeBufferPointer {
        try writer.write(tensor.name, $0)
      }
    }
    for constant in stored {
      try (0..<constant.shape.count).map { change(constant.number($0)) }
        .withUnsafeBufferPointer { try writer.write(constant.name, $0) }
    }
    try writer.finish()
  }

  private static let all = ["slope_rate", "query_decay", "key_decay", "diagonal_decay"]

  /// Writes what a folder holds anew.
  private func copy(_ name: String, as format: WeightFormat = .fp32) throws -> SafetensorsFolder {
    let folder = try ModelFolder(path: files.file(name))
    #expect(folder.notices == [])
    let store = WholeParameters(table: folder.model.table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    try ModelFolder.write(
      folder.model, to: files.file("copy"), keeping: folder.origin(), as: format
    ) {
      try $0(0..<folder.model.table.count, store.values.pointer)
    }
    return try SafetensorsFolder(path: files.file("copy"))
  }

  @Test(
    "They are no parameters, and are written again where a folder had them, in fp32 whatever weights are in",
    arguments: [WeightFormat.fp32, .bf16])
  func written(format: WeightFormat) throws {
    try write("model", constants: Self.all)
    let found = try copy("model", as: format)
    let model = try ModelFolder(path: files.file("model")).model
    #expect(model.architecture.constants.count == 4)
    for constant in model.architecture.constants {
      let tensor = try #require(found.tensor(constant.name))
      #expect(tensor.shape == constant.shape.dimensions)
      var numbers = [Float](repeating: .nan, count: constant.shape.count)
      try numbers.withUnsafeMutableBufferPointer {
        try found.readFloats(constant.name, into: $0.baseAddress!)
      }
      #expect(numbers == (0..<numbers.count).map(constant.number), "\(constant.name)")
    }
    // Read once more, the copy is what it was copied from.
    _ = try ModelFolder(path: files.file("copy"))
  }

  @Test("A folder without them, or with some, gets no others")
  func left() throws {
    try write("model", constants: ["slope_rate"])
    let names = try copy("model").tensors.map(\.name)
    #expect(names.filter { name in Self.all.contains { name.hasSuffix($0) } }.count == 1)
    try write("bare", constants: [])
    let bare = try copy("bare").tensors.map(\.name)
    #expect(!bare.contains { name in Self.all.contains { name.hasSuffix($0) } })
  }

  @Test("Rates that were rounded are passed over, others are refused by name")
  func rounded() throws {
    try write("near", constants: Self.all) { $0 * 1.005 }
    _ = try ModelFolder(path: files.file("near"))
    for factor: Float in [1.02, 0.97, .nan] {
      try write("far", constants: Self.all) { $0 * factor }
      #expect {
        try ModelFolder(path: files.file("far"))
      } throws: {
        "\($0)".contains("model.layers.1.self_attn.slope_rate has")
      }
    }
  }

  @Test("Keys whose infinity says nothing are left out of what is written")
  func omitted() throws {
    let keys: [String: JSONValue] = [
      "model_type": "bamba", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 1,
      "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 8,
      "mamba_n_heads": 2, "mamba_d_state": 3,
      "time_step_limit": [0, ["__float__": "Infinity"]], "other": "stays",
    ]
    let model = LanguageModel(try Architectures.read(.object(keys)).architecture)
    let weights = [Float](repeating: 0.5, count: model.table.count)
    try ModelFolder.write(model, to: files.file("bamba")) { write in
      try weights.withUnsafeBufferPointer { try write(0..<weights.count, $0.baseAddress!) }
    }
    try JSONValue.object(keys).encoded.write(
      to: URL(fileURLWithPath: files.file("bamba/config.json")))
    let folder = try ModelFolder(path: files.file("bamba"))
    try ModelFolder.write(folder.model, to: files.file("again"), keeping: folder.origin()) {
      write in
      try weights.withUnsafeBufferPointer { try write(0..<weights.count, $0.baseAddress!) }
    }
    let written = try JSONValue(file: files.file("again/config.json"))
    #expect(written["time_step_limit"] == nil)
    #expect(written["other"] == "stays")
  }
}
