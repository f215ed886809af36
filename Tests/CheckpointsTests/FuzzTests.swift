import Configuration
import Files
import Foundation
import Models
import Mutations
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite("Damaged files: weights, models, adapters, checkpoints")
struct CheckpointFuzzTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private func bytes(_ name: String) throws -> [UInt8] { Array(try files.read(name)) }

  @Test("A file of safetensors is read or refused")
  func safetensors() throws {
    let tensors: [TensorDescription] = [
      TensorDescription("a.weight", shape: [3, 5]),
      TensorDescription("streams.0.b", shape: [2], type: .int64),
      TensorDescription("c", shape: []), TensorDescription("d", shape: [0, 4]),
      TensorDescription("e", shape: [7], type: .bfloat16),
    ]
    let writer = try SafetensorsWriter(path: files.file("x"), tensors: tensors)
    for tensor in tensors {
      let count = tensor.shape.reduce(1, *)
      if tensor.type == .int64 {
        try writer.write(tensor.name, [Int](repeating: 3, count: count))
      } else {
        try [Float](repeating: 0.5, count: count).withUnsafeBufferPointer {
          try writer.write(tensor.name, $0)
        }
      }
    }
    try writer.finish()
    let original = try bytes("x")
    let failures = Fuzzing("safetensors", .safetensors, [original], cases: 3000).run { bytes in
      let file = try SafetensorsFile(path: files.write("y", Data(bytes)))
      #expect(file.tensors.reduce(0) { $0 + $1.range.count } <= bytes.count)
      for tensor in file.tensors {
        if tensor.type.isFloatingPoint {
          _ = try file.readFloats(tensor.name)
        } else {
          _ = try file.readIntegers(tensor.name)
        }
      }
    }
    #expect(failures == [])
  }

  /// Opens a folder and reads all its weights.
  private func open(_ name: String) throws {
    let folder = try ModelFolder(path: files.file(name))
    guard folder.model.table.count < 1 << 20 else { return }
    var numbers = [Float](repeating: 0, count: folder.model.table.count)
    try folder.read(0..<numbers.count, into: &numbers)
    _ = try folder.origin()
  }

  private func writeModel(_ keys: [String: JSONValue], shardBytes: Int) throws {
    let model = LanguageModel(try Architectures.read(.object(keys)).architecture)
    let zeros = [Float](repeating: 0.25, count: model.table.count)
    try zeros.withUnsafeBufferPointer { zeros in
      try ModelFolder.write(model, to: files.file("model"), shardBytes: shardBytes) {
        try $0(0..<zeros.count, zeros.baseAddress!)
      }
    }
  }

  private static let gla: [String: JSONValue] = [
    "model_type": "gla", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2,
    "num_heads": 2, "intermediate_size": 8,
  ]

  @Test("A model's folder is opened or refused, whichever of its files is damaged")
  func models() throws {
    try writeModel(Self.gla, shardBytes: 400)
    let index = "model/model.safetensors.index.json"
    let names = try FileSystem.names(in: files.file("model"))
    let shard = try #require(names.first { $0.contains("00001-of") })
    for (name, form) in [
      ("model/config.json", FileForm.text), (index, .text), ("model/\(shard)", .safetensors),
    ] {
      let original = try bytes(name)
      let failures = Fuzzing(name, form, [original]).run {
        try files.write(name, Data($0))
        try open("model")
      }
      #expect(failures == [])
      try files.write(name, Data(original))
    }
  }

  /// The `config.json` of every model among the fixtures: all families.
  private static func configurations() throws -> [[UInt8]] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Fixtures").path
    return try FileSystem.names(in: folder).map { "\(folder)/\($0)/config.json" }
      .filter(FileSystem.exists)
      .map { Array(try MappedFile(path: $0).data) }
  }

  @Test("The config.json of every family is read or refused, and makes a model or none")
  func configurations() throws {
    let originals = try Self.configurations()
    #expect(originals.count > 50)
    let failures = Fuzzing("config.json", .text, originals, cases: 4000).run { bytes in
      let path = try files.write("config.json", Data(bytes))
      let architecture = try Architectures.read(try JSONValue(file: path)).architecture
      guard architecture.depth <= 64 else { return }
      let model = LanguageModel(architecture)
      _ = (model.table.count, model.tensors.count)
      _ = JSONValue.object(architecture.configuration).encoded
    }
    #expect(failures == [])
  }

  @Test("An adapter's folder is opened or refused, whichever of its files is damaged")
  func adapters() throws {
    try writeModel(Self.gla, shardBytes: 1 << 30)
    let lora = LoRA(.suffixes(["q_proj"]), rank: 2, alpha: 4)
    let model = try LanguageModel(
      Architectures.read(.object(Self.gla)).architecture, adapting: lora)
    let numbers = [Float](repeating: 0.25, count: model.table.count)
    try numbers.withUnsafeBufferPointer { numbers in
      try AdapterFolder.write(model, to: files.file("adapter"), base: files.file("model")) {
        try $0(0..<numbers.count, numbers.baseAddress!)
      }
    }
    try open("adapter")
    for (name, form) in [
      ("adapter/adapter_config.json", FileForm.text),
      ("adapter/adapter_model.safetensors", .safetensors),
    ] {
      let original = try bytes(name)
      let failures = Fuzzing(name, form, [original]).run {
        try files.write(name, Data($0))
        try open("adapter")
      }
      #expect(failures == [])
      try files.write(name, Data(original))
    }
  }

  /// The text of a `state.json` with the hash that belongs to what it says now; other text as it is.
  private func rehashed(_ text: [UInt8]) -> [UInt8] {
    guard var fields = (try? JSONValue(Data(text)))?.object else { return text }
    fields["sha256"] = nil
    let hash = ContentHash(of: JSONValue.object(fields).encoded).text
    fields["sha256"] = .string(hash)
    return Array(JSONValue.object(fields).encoded)
  }

  @Test("A checkpoint is read or refused, whichever of its files is damaged")
  func checkpoints() throws {
    let small = try SmallCheckpoint()
    let written = try small.write(below: files.path) {
      $0.stage = TrainingState.Stage(index: 1, start: 3, losses: [1.5, 2])
      $0.parent = TrainingState.Parent(path: "a", step: 4, identity: "abc")
    }
    let name = FileSystem.name(of: written.path)
    func read() throws {
      let checkpoint = try Checkpoint(path: written.path)
      _ = try? checkpoint.verify()
      _ = try small.read(checkpoint)
      _ = try CheckpointFolder(path: files.path).items().count
    }
    try read()
    for file in try FileSystem.names(in: written.path) {
      let original = try bytes("\(name)/\(file)")
      let form: FileForm = file.hasSuffix(".safetensors") ? .safetensors : .text
      let failures = Fuzzing("checkpoint's \(file)", form, [original]).run {
        try files.write("\(name)/\(file)", Data(file == "state.json" ? rehashed($0) : $0))
        try read()
      }
      #expect(failures == [])
      try files.write("\(name)/\(file)", Data(original))
    }
  }

  @Test("What streams carry is read or refused, and a former release's checkpoint")
  func streams() throws {
    let small = try SmallCheckpoint()
    let layout = CheckpointLayout(small.model, quantities: [])
    let writer = try CheckpointWriter(
      TrainingState(step: 7, seed: 3, version: "x"), layout, below: files.path)
    let numbers = small.numbers(.weight)
    try numbers.withUnsafeBufferPointer {
      try writer.write(.weight, 0..<numbers.count, $0.baseAddress!)
    }
    try writer.write(
      streams: [["s.a": ([2], [1, 2]), "t": ([], [3])], ["s.a": ([2], [1, 2])]], position: 14)
    let written = try writer.finish()
    let name = FileSystem.name(of: written.path) + "/" + CheckpointWriter.streamsName
    let original = try bytes(name)
    let failures = Fuzzing("streams", .safetensors, [original], cases: 2000).run {
      try files.write(name, Data($0))
      _ = try written.readStreams(0..<2, of: 2, position: 14)
    }
    #expect(failures == [])
    let former =
      #"{"step": 7, "seed": 3, "version": "x", "stage": {"number": 1, "start": 2, "losses": [1.5]}}"#
    let states = Fuzzing("former state.json", .text, [Array(former.utf8)], cases: 2000).run {
      try files.write("former/state.json", Data($0))
      _ = try Checkpoint(path: files.file("former")).state
      _ = try CheckpointFolder(path: files.path).items().count
    }
    #expect(states == [])
  }
}
