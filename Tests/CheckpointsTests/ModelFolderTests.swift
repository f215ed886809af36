import Autodiff
import Configuration
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite("Folders of models")
struct ModelFolderTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private static let keys: [String: JSONValue] = [
    "model_type": "gla", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2,
    "num_heads": 2, "intermediate_size": 8,
  ]

  /// Writes a model folder whose tensors hold their number in the list.
  private func write(
    _ keys: [String: JSONValue] = keys, naming name: @escaping (String) -> String = { $0 },
    without: Set<String> = [], extra: [(String, [Int])] = []
  ) throws {
    let model = LanguageModel(try Architectures.read(.object(keys)).architecture)
    try files.write("config.json", JSONValue.object(keys).encoded)
    let tensors =
      model.tensors.filter { !without.contains($0.name) }
      .map { (name($0.name), $0.shape.dimensions) } + extra
    let writer = try SafetensorsFolderWriter(
      path: files.path, tensors: tensors.map { TensorDescription($0.0, shape: $0.1) })
    for (index, tensor) in tensors.enumerated() {
      let count = tensor.1.reduce(1, *)
      try [Float](repeating: Float(index), count: count).withUnsafeBufferPointer {
        try writer.write(tensor.0, $0, at: 0)
      }
    }
    try writer.finish()
  }

  private func problem() -> String {
    do {
      _ = try ModelFolder(path: files.path)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test(
    "Names that tools wrapped are read as the model's own, and that is said",
    arguments: [
      ("_orig_mod.", "_orig_mod.", "."), ("module.", "module.", "."),
      ("_orig_mod., module.", "module._orig_mod.", "."),
      ("_fsdp_wrapped_module.", "", "._fsdp_wrapped_module."),
    ])
  func wrapped(said: String, before: String, inside: String) throws {
    let naming: (String) -> String = {
      before + $0.replacing(".attn.", with: "\(inside)attn.")
    }
    try write(naming: naming)
    let folder = try ModelFolder(path: files.path)
    #expect(folder.notices.count == 1)
    #expect(folder.notices[0].contains("without \(said), which other tools add"))
    let store = WholeParameters(
      table: folder.model.table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    for (index, tensor) in folder.model.tensors.enumerated() {
      for piece in tensor.pieces {
        let first = folder.model.table[piece.parameter].range.lowerBound
        #expect(store.values.pointer[first] == Float(index), "\(tensor.name)")
      }
    }
  }

  @Test("Two names of one tensor are refused")
  func twice() throws {
    try write(extra: [("_orig_mod.lm_head.weight", [12, 8])])
    #expect(problem().contains("are names of one tensor"))
  }

  @Test("What a model lacks is a handful of names and a count, and is not called damaged")
  func lacking() throws {
    let model = LanguageModel(try Architectures.read(.object(Self.keys)).architecture)
    try write(without: Set(model.tensors.map(\.name).dropFirst()))
    #expect(problem().contains("do not fit its config.json"))
    #expect(problem().contains("is missing and \(model.tensors.count - 6) more"))
    #expect(!problem().contains("damaged"))
  }

  @Test("Tensors that the model does not take are told in one line; known ones are not")
  func left() throws {
    try write(
      extra: [
        ("model.layers.0.attn.rotary.inv_freq", [2]), ("model.value_head.weight", [1, 8]),
        ("z", [1]), ("y", [1]), ("x", [1]), ("w", [1]), ("v", [1]), ("u", [1]),
      ])
    let notices = try ModelFolder(path: files.path).notices
    #expect(
      notices == [
        "\(files.path) has tensors that the model does not take: model.value_head.weight, u, v, w, x and 2 more"
      ])
  }

  @Test("Tensors that take no part are named once, and are in every folder of the model")
  func kept() throws {
    let keys: [String: JSONValue] = [
      "model_type": "qwen3_next", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_experts": 2,
      "num_experts_per_tok": 1, "moe_intermediate_size": 4, "shared_expert_intermediate_size": 4,
      "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 4,
      "linear_value_head_dim": 4, "layer_types": ["linear_attention", "full_attention"],
    ]
    let extra = [("mtp.fc.weight", [3, 5]), ("mtp.norm.weight", [8])]
    try write(keys, extra: extra)
    let folder = try ModelFolder(path: files.path)
    #expect(
      folder.notices == [
        "\(files.path) has tensors that take no part in anything and are kept as they are: "
          + "mtp.fc.weight, mtp.norm.weight"
      ])
    #expect(folder.model.kept.map(\.name) == extra.map { $0.0 })
    let zeros = [Float](repeating: 0, count: folder.model.table.count)
    let copy = try TemporaryFolder()
    try ModelFolder.write(folder.model, to: copy.file("model"), keeping: folder.origin()) { write in
      try zeros.withUnsafeBufferPointer { try write(0..<zeros.count, $0.baseAddress!) }
    }
    let writer = try CheckpointWriter(
      TrainingState(step: 1, seed: 1, version: ""),
      CheckpointLayout(folder.model, shardBytes: 900), below: copy.file("checkpoints"),
      keeping: folder.origin())
    try writer.write(.weight, 0..<zeros.count, zeros)
    let checkpoint = try writer.finish()
    try checkpoint.verify()
    for path in [copy.file("model"), checkpoint.path] {
      let again = try ModelFolder(path: path)
      #expect(again.model.kept.map(\.name) == extra.map { $0.0 })
      let source = try SafetensorsFolder(path: path)
      for (index, (name, shape)) in extra.enumerated() {
        var numbers = [Float](repeating: .nan, count: shape.reduce(1, *))
        try source.readFloats(name, into: &numbers)
        #expect(numbers.allSatisfy { $0 == Float(folder.model.tensors.count + index) }, "\(name)")
      }
    }
  }

  @Test("Another name of a tensor is read, and the model's own is written")
  func otherNames() throws {
    let keys: [String: JSONValue] = [
      "model_type": "kimi_linear", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2,
      "intermediate_size": 6, "num_attention_heads": 2, "num_key_value_heads": 2, "kv_lora_rank": 4,
      "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 4, "linear_num_heads": 1,
      "linear_head_dim": 4, "num_experts": 2, "num_experts_per_token": 1,
      "moe_intermediate_size": 4,
    ]
    try write(keys, naming: { $0.replacing(".mlp.", with: ".block_sparse_moe.") })
    let folder = try ModelFolder(path: files.path)
    #expect(folder.notices == [])
    let store = WholeParameters(
      table: folder.model.table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    for (index, tensor) in folder.model.tensors.enumerated() {
      for piece in tensor.pieces {
        let first = folder.model.table[piece.parameter].range.lowerBound
        #expect(store.values.pointer[first] == Float(index), "\(tensor.name)")
      }
    }
    #expect(folder.model.tensors.contains { $0.name == "model.layers.0.mlp.up_proj.weight" })
  }

  @Test("A bias that the config does not announce is refused")
  func bias() throws {
    try write(extra: [("model.layers.1.mlp.up_proj.bias", [8])])
    #expect(problem().contains("no bias, but there is model.layers.1.mlp.up_proj.bias"))
  }

  @Test("A head that is tied may lie in the file too")
  func tied() throws {
    try write(
      Self.keys.merging(["tie_word_embeddings": true]) { $1 }, extra: [("lm_head.weight", [12, 8])])
    #expect(try ModelFolder(path: files.path).notices == [])
  }

  @Test("Tokenizer and generation files go along, byte for byte, and unknown keys stay")
  func companions() throws {
    try write(
      Self.keys.merging([
        "my_key": [1, "a"], "attn": ["layers": [1], "num_heads": 2, "tilt": 2],
      ]) { $1 })
    let content = [
      "tokenizer.json": "{\"a\": \"ä\"}", "generation_config.json": "{}", "chat_template.jinja": "",
    ]
    for (name, text) in content { try files.write(name, text) }
    try files.write("notes.txt", "stays")
    let folder = try ModelFolder(path: files.path)
    #expect(
      folder.notices == [
        "\(files.path)/config.json has keys that are not known here: attn.tilt, my_key"
      ])
    // Whatever becomes of the folder while a run trains.
    try FileManager.default.removeItem(atPath: files.file("tokenizer.json"))
    let copy = try TemporaryFolder()
    try ModelFolder.write(folder.model, to: copy.file("model"), keeping: folder.origin()) { write in
      let zeros = [Float](repeating: 0, count: folder.model.table.count)
      try zeros.withUnsafeBufferPointer { try write(0..<zeros.count, $0.baseAddress!) }
    }
    for (name, text) in content { #expect(try copy.text("model/\(name)") == text) }
    #expect(!copy.has("model/notes.txt"))
    let again = try ModelFolder(path: copy.file("model"))
    #expect(again.configuration["my_key"] == [1, "a"])
    #expect(again.configuration["attn"]?["tilt"] == 2)
  }

  @Test("Weights that are stored as bf16 are the nearest, and the configuration says so")
  func bfloat16() throws {
    try write()
    let folder = try ModelFolder(path: files.path)
    let numbers = (0..<folder.model.table.count).map { 1 + Float($0) / 1000 }
    let copy = try TemporaryFolder()
    try ModelFolder.write(folder.model, to: copy.file("model"), as: .bf16) { write in
      try numbers.withUnsafeBufferPointer { try write(0..<numbers.count, $0.baseAddress!) }
    }
    let again = try ModelFolder(path: copy.file("model"))
    #expect(again.configuration["dtype"] == "bfloat16")
    let file = try SafetensorsFile(path: copy.file("model/model.safetensors"))
    #expect(file.tensors.allSatisfy { $0.type == .bfloat16 })
    var read = numbers
    try read.withUnsafeMutableBufferPointer {
      try again.read(0..<numbers.count, into: $0.baseAddress!)
    }
    #expect(zip(read, numbers).allSatisfy { abs($0 - $1) <= $1 / 256 && $0 != 0 })
    #expect(read != numbers)
  }

  @Test("A model above a limit is written as shards with an index, and reads the same")
  func shards() throws {
    try write()
    let folder = try ModelFolder(path: files.path)
    let numbers = (0..<folder.model.table.count).map { Float($0) }
    let copy = try TemporaryFolder()
    try ModelFolder.write(folder.model, to: copy.file("model"), shardBytes: 300) { write in
      // In two ranges, as ranks give them.
      for range in [0..<101, 101..<numbers.count] {
        try numbers.withUnsafeBufferPointer { try write(range, $0.baseAddress! + range.lowerBound) }
      }
    }
    #expect(!copy.has("model/model.safetensors"))
    let index = try JSONValue(file: copy.file("model/model.safetensors.index.json"))
    #expect(index["metadata"]?["total_size"]?.integer == 4 * numbers.count)
    #expect(index["weight_map"]?.object?.count == folder.model.tensors.count)
    let again = try ModelFolder(path: copy.file("model"))
    var read = [Float](repeating: 0, count: 50)
    try read.withUnsafeMutableBufferPointer { try again.read(90..<140, into: $0.baseAddress!) }
    #expect(read == Array(numbers[90..<140]))
  }

  @Test(
    "A pickle is never opened, alone or in a folder; how to convert it is said",
    arguments: ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
  func pickles(name: String) throws {
    try files.write(name, Data([0x80, 2]))
    #expect(problem().contains("\(name) is a pickle"))
    try files.write("config.json", JSONValue.object(Self.keys).encoded)
    #expect(problem().contains("\(name) is a pickle"))
    #expect(problem().contains("save_file("))
    let alone = #expect(throws: CheckpointError.self) { try ModelFolder(path: files.file(name)) }
    #expect("\(alone as Any)".contains("is a pickle"))
    // What a trainer leaves beside weights that can be read is in nobody's way.
    try write()
    #expect(problem() == "")
  }

  @Test(
    "A number that JSON has no word for is read, and refused before anything is to be written",
    arguments: [.number(.infinity), [0, .number(.nan)], ["a": ["__float__": "-Infinity"]]]
      as [JSONValue])
  func notFinite(value: JSONValue) throws {
    try write(Self.keys.merging(["dt_limit": value, "norm_eps": 1e-5]) { $1 })
    let folder = try ModelFolder(path: files.path)
    #expect {
      _ = try folder.origin()
    } throws: {
      "\($0)".hasPrefix("\(files.path)/config.json cannot be read: dt_limit cannot be written")
    }
  }
}
