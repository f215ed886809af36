import Checkpoints
import Configuration
import Models
import TemporaryFolders
import Tensors
import Testing

@Suite("Transformers that are made linear")
struct LinearisationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A run file's model section with some keys.
  private func section(_ keys: [String]) throws -> ModelSection {
    var document = ConfigurationDocument(schemas: ModelSection.schemas)
    document.apply(keys.map { Override("model.\($0)") })
    try document.check()
    return document.section(ModelSection.self)
  }

  /// Writes a small Transformer; gives its weights by name.
  private func write(_ keys: [String]) throws -> [String: [Float]] {
    let shape = ["dimension=16", "depth=3", "heads=4", "kv_heads=2", "glu=24"]
    let model = LanguageModel(Architectures.make(try section(shape + keys), vocabulary: 11))
    var weights = [Float](repeating: 0, count: model.table.count)
    model.table.initialize(0..<weights.count, seed: 3, into: &weights)
    try weights.withUnsafeBufferPointer { numbers in
      try ModelFolder.write(model, to: folder.file("transformer")) {
        try $0(0..<numbers.count, numbers.baseAddress!)
      }
    }
    return tensors(model, weights)
  }

  private func tensors(_ model: LanguageModel, _ weights: [Float]) -> [String: [Float]] {
    Dictionary(
      uniqueKeysWithValues: model.tensors.map { tensor in
        (
          tensor.name,
          tensor.pieces.flatMap { piece -> [Float] in
            let first = model.table[piece.parameter].range.lowerBound
            return Array(
              weights[first + piece.elements.lowerBound..<first + piece.elements.upperBound])
          }
        )
      })
  }

  private func open(_ method: String, layers: [Int] = [], _ keys: [String] = []) throws
    -> ModelFolder
  {
    try ModelFolder(
      path: folder.file("transformer"),
      linearising: Linearisation(method, layers: layers, try section(keys)))
  }

  @Test(
    "A method keeps every weight of the Transformer, and adds its own",
    arguments: [
      "liger_gla", "liger_hgrn2", "liger_gsa", "lolcats", "hedgehog", "t2r", "supra", "lizard",
    ],
    ["llama", "mistral", "qwen2", "qwen3"])
  func keeps(method: String, family: String) throws {
    let own = try write(["mixer=\(family)"])
    let opened = try open(method, layers: [0, 2], ["mixer=\(method)"])
    let model = opened.model
    #expect(model.students == 2 && opened.exchange?.dropped.isEmpty == true)
    #expect(opened.exchange?.added.isEmpty == method.hasPrefix("liger"))
    var weights = [Float](repeating: -7, count: model.table.count)
    try opened.read(0..<weights.count, into: &weights)
    let found = tensors(model, weights)
    for (name, numbers) in own { #expect(found[name] == numbers, "\(name)") }
    for tensor in opened.exchange?.added ?? [] {
      #expect(found[tensor.name]!.allSatisfy { $0 == -7 }, "\(tensor.name) is left to the seed")
    }
    #expect(opened.notices == [])
  }

  @Test("XATL copies what both have, in layers that stay attention all of it")
  func exchanges() throws {
    let own = try write(["mixer=llama"])
    let opened = try open("xatl", layers: [0, 1], ["mixer=gla"])
    let model = opened.model
    var weights = [Float](repeating: -7, count: model.table.count)
    try opened.read(0..<weights.count, into: &weights)
    let found = tensors(model, weights)
    for (name, source) in [
      ("model.embeddings.weight", "model.embed_tokens.weight"),
      ("lm_head.weight", "lm_head.weight"),
      ("model.layers.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
      ("model.layers.1.mlp_norm.weight", "model.layers.1.post_attention_layernorm.weight"),
      ("model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.gate_proj.weight"),
      ("model.layers.0.attn.o_proj.weight", "model.layers.0.self_attn.o_proj.weight"),
      ("model.layers.2.attn.q_proj.weight", "model.layers.2.self_attn.q_proj.weight"),
      ("model.layers.2.attn.k_proj.weight", "model.layers.2.self_attn.k_proj.weight"),
    ] {
      #expect(found[name] == own[source], "\(name)")
    }
    #expect(found["model.layers.0.attn.gk_proj.0.weight"]!.allSatisfy { $0 == -7 })
    #expect(model.inherited.count == opened.exchange?.kept.flatMap(\.pieces).count)
  }

  @Test("What does not fit is refused with what is possible")
  func refusals() throws {
    _ = try write(["mixer=llama"])
    func message(_ body: () throws -> ModelFolder) -> String {
      do {
        _ = try body()
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(message { try open("lolcats", layers: [3], ["mixer=lolcats"]) }.contains("no layer 3"))
    #expect(message { try open("xatl", ["mixer=mamba2"]) }.contains("another skeleton"))
    let model = LanguageModel(Architectures.make(try section(["mixer=gla"]), vocabulary: 11))
    let weights = [Float](repeating: 0, count: model.table.count)
    try weights.withUnsafeBufferPointer { numbers in
      try ModelFolder.write(model, to: folder.file("transformer")) {
        try $0(0..<numbers.count, numbers.baseAddress!)
      }
    }
    #expect(
      message { try open("lolcats", ["mixer=lolcats"]) }.contains("llama, mistral, qwen2, qwen3"))
  }
}
