import Configuration
import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Families of models")
struct FamilyTests {
  /// A run file's model section.
  private static func section(_ values: [String: Value] = [:]) -> ModelSection {
    ModelSection(values)
  }

  private static func names(_ names: String...) -> Value { .list(names.map { .string($0) }) }

  /// Run files of every mixer, and of hybrids.
  static let sections: [ModelSection] =
    ModelSection.mixers.map { section(["mixer": .string($0)]) } + [
      section(["layers": names("gla", "attention", "gla"), "kv_heads": .integer(2)]),
      hybrid,
      section([
        "layers": names("retnet", "attention", "delta_net", "full_attention", "hgrn2", "gla"),
        "depth": .integer(6), "window": .integer(16),
      ]),
      section(["layers": names("attention"), "bias": .boolean(true)]),
      section([
        "layers": names("mamba2", "attention", "full_attention"), "kv_heads": .integer(2),
        "bias": .boolean(true), "window": .integer(16),
      ]),
      section(["layers": names("attention", "mamba", "forgetting_transformer")]),
      section([
        "layers": names("xlstm", "attention", "mamba2", "hgrn2"), "depth": .integer(4),
        "init_std": .number(0.03),
      ]),
      section(["layers": names("gla", "mamba", "xlstm")]),
      section(["layers": names("samba", "full_attention", "attention"), "window": .integer(16)]),
      section(["layers": names("samba", "mamba2", "attention")]),
      section([
        "layers": names("rwkv6", "attention", "rwkv7", "full_attention"), "depth": .integer(4),
        "window": .integer(16),
      ]),
      section(["layers": names("rwkv7", "gla", "rwkv6")]),
      section([
        "layers": names("qwen3_next", "attention", "qwen3_next"), "kv_heads": .integer(2),
      ]),
      section(["mixer": .string("kimi_linear"), "depth": .integer(4)]),
      section(["layers": names("gla", "mom", "attention")]),
      section(["layers": names("lolcats", "attention", "lolcats"), "kv_heads": .integer(2)]),
      section(["layers": names("full_attention", "liger_gsa", "liger_gsa")]),
      section(["mixer": .string("retnet"), "glu": .integer(96), "expand_v": .number(1.5)]),
      tied,
    ]
    + Architectures.all.filter { $0.takesExperts }.compactMap { $0.mixers.first }.map {
      section(["mixer": .string($0), "channels": .string("experts")])
    }

  private static let hybrid = section([
    "layers": names("attention", "gated_deltanet"), "depth": .integer(4), "window": .integer(16),
  ])
  private static let tied = section([
    "mixer": .string("delta_net"), "tie_embeddings": .boolean(true),
  ])

  private static func shapes(_ architecture: any Architecture) -> [String: Shape] {
    let tensors = LanguageModel(architecture).tensors.map { ($0.name, $0.shape) }
    return Dictionary(uniqueKeysWithValues: tensors)
  }

  private static func read(_ json: JSONValue) throws -> any Architecture {
    try Architectures.read(json).architecture
  }

  @Test("What is written as config.json reads back as the same model", arguments: sections)
  func roundTrip(section: ModelSection) throws {
    #expect(section.problems == [])
    let written = Architectures.make(section, vocabulary: 25)
    let again = try Self.read(.object(written.configuration))
    #expect(Self.shapes(again) == Self.shapes(written))
    #expect(again.configuration == written.configuration)
  }

  @Test(
    "An epsilon that fp32 does not hold is refused by name", arguments: [0, 1e-50, -1e-6, 1e60])
  func epsilonOutsideFP32(epsilon: Double) {
    let json: JSONValue = ["model_type": "gla", "norm_eps": .number(epsilon)]
    #expect {
      try Self.read(json)
    } throws: {
      "\($0)".hasPrefix("norm_eps: ")
    }
  }

  /// What a family's model has by default.
  struct Defaults: Sendable {
    let type: String
    let depth: Int
    /// A tensor of the last block's mixer, and its extents.
    let tensor: String
    let shape: [Int]
    /// Width of the channel mixer.
    let inner: Int
  }

  static let defaults = [
    Defaults(type: "rebased", depth: 24, tensor: "q_proj.weight", shape: [256, 2048], inner: 5632),
    Defaults(
      type: "linear_attn", depth: 24, tensor: "feature_map_k.layer2.weight", shape: [512, 512],
      inner: 5632),
    Defaults(
      type: "retnet", depth: 24, tensor: "g_norm_swish_gate.weight", shape: [512], inner: 2816),
    Defaults(type: "gla", depth: 24, tensor: "gk_proj.1.weight", shape: [1024, 16], inner: 5632),
    Defaults(
      type: "delta_net", depth: 24, tensor: "k_conv1d.weight", shape: [2048, 1, 4], inner: 5632),
    Defaults(
      type: "gated_deltanet", depth: 21, tensor: "g_proj.weight", shape: [3072, 2048], inner: 5632),
    Defaults(type: "gsa", depth: 24, tensor: "f_proj.weight", shape: [256, 2048], inner: 5632),
    Defaults(type: "hgrn2", depth: 24, tensor: "f_proj.weight", shape: [2048, 2048], inner: 5632),
    Defaults(
      type: "lightnet", depth: 24, tensor: "g_proj.0.weight", shape: [128, 2048], inner: 5632),
    Defaults(type: "kda", depth: 24, tensor: "f_proj.1.weight", shape: [2048, 128], inner: 5632),
    Defaults(type: "comba", depth: 21, tensor: "g_proj.weight", shape: [3072, 2048], inner: 5632),
    Defaults(
      type: "gated_deltaproduct", depth: 21, tensor: "v_conv1d.weight", shape: [3072, 1, 4],
      inner: 5632),
    Defaults(type: "hgrn", depth: 24, tensor: "g_proj.weight", shape: [2048, 2048], inner: 5632),
    Defaults(
      type: "transformer", depth: 24, tensor: "v_proj.weight", shape: [2048, 2048], inner: 5632),
    Defaults(type: "regla", depth: 24, tensor: "r_proj.bias", shape: [1024], inner: 5632),
    Defaults(
      type: "forgetting_transformer", depth: 24, tensor: "f_proj.weight", shape: [32, 2048],
      inner: 5632),
    Defaults(
      type: "cosformer", depth: 24, tensor: "v_proj.weight", shape: [2048, 2048], inner: 5632),
    Defaults(type: "gateloop", depth: 24, tensor: "b_proj.bias", shape: [1024], inner: 5632),
  ]

  @Test(
    "Models of a config.json's defaults have the shapes of the other project's",
    arguments: defaults)
  func sizes(family: Defaults) throws {
    let shapes = Self.shapes(try Self.read(["model_type": .string(family.type)]))
    let (last, depth) = (family.depth - 1, family.depth)
    #expect(
      shapes["model.layers.\(last).attn.\(family.tensor)"]?.dimensions == family.shape)
    #expect(shapes["model.layers.\(depth).attn_norm.weight"] == nil)
    #expect(shapes["model.layers.0.mlp.down_proj.weight"]?.dimensions == [2048, family.inner])
    #expect(shapes["model.embeddings.weight"] == [32000, 2048])
    #expect(shapes["lm_head.weight"] == [32000, 2048])
  }

  @Test("Mamba and Samba have the shapes of the other project's by default")
  func scans() throws {
    let mamba = Self.shapes(try Self.read(["model_type": "mamba"]))
    #expect(mamba["backbone.layers.47.mixer.x_proj.weight"] == [160, 4096])
    #expect(mamba["backbone.layers.47.mixer.A_log"] == [4096, 16])
    #expect(mamba["backbone.layers.0.mixer.dt_proj.weight"] == [4096, 128])
    #expect(mamba["backbone.layers.0.mixer.conv1d.bias"] == [4096])
    let samba = Self.shapes(try Self.read(["model_type": "samba"]))
    #expect(samba["backbone.layers.16.mixer.in_proj.weight"] == [9216, 2304])
    #expect(samba["backbone.layers.17.mixer.k_proj.weight"] == [2304, 2304])
    #expect(samba["backbone.layers.0.mlp.gate_proj.weight"] == [6144, 2304])
    let scansOnly = Self.shapes(try Self.read(["model_type": "samba", "attn": .null]))
    #expect(scansOnly["backbone.layers.17.mixer.D"] == [4608])
  }

  @Test("Pretrained Transformers have the shapes of transformers' by default")
  func pretrained() throws {
    let llama = Self.shapes(try Self.read(["model_type": "llama"]))
    #expect(llama["model.layers.31.self_attn.o_proj.weight"] == [4096, 4096])
    #expect(llama["model.layers.0.mlp.down_proj.weight"] == [4096, 11008])
    #expect(llama["model.layers.0.self_attn.q_proj.bias"] == nil)
    let mistral = try Self.read(["model_type": "mistral", "num_key_value_heads": 8])
    #expect(mistral.configuration["sliding_window"] == 4096)
    #expect(Self.shapes(mistral)["model.layers.31.self_attn.k_proj.weight"] == [1024, 4096])
    let whole = try Self.read(["model_type": "mistral", "sliding_window": .null])
    #expect(LanguageModel(whole).blocks[0].mixer.seesAllTokens)
    let qwen2 = Self.shapes(try Self.read(["model_type": "qwen2"]))
    #expect(qwen2["model.layers.31.self_attn.v_proj.bias"] == [4096])
    #expect(qwen2["model.layers.31.self_attn.o_proj.bias"] == nil)
    #expect(qwen2["model.embed_tokens.weight"] == [151_936, 4096])
    let qwen3 = Self.shapes(try Self.read(["model_type": "qwen3", "num_attention_heads": 16]))
    #expect(qwen3["model.layers.0.self_attn.q_proj.weight"] == [2048, 4096])
    #expect(qwen3["model.layers.0.self_attn.k_norm.weight"] == [128])
  }

  @Test(
    "What a pretrained Transformer's config.json says of positions and windows is written again")
  func writtenAgain() throws {
    let keys: [String: JSONValue] = [
      "rope_theta": 10000.0, "sliding_window": .null, "use_sliding_window": false,
      "max_window_layers": 21, "layer_types": ["full_attention", "full_attention"],
      "rope_scaling": ["type": "yarn", "factor": 4.0, "attention_factor": 1.5],
    ]
    let json: [String: JSONValue] = ["model_type": "qwen2", "num_hidden_layers": 2]
    let written = try Self.read(.object(json.merging(keys) { $1 })).configuration
    for (key, value) in keys { #expect(written[key] == value, "\(key)") }
    #expect(written["rope_parameters"] == nil)
    let newer: JSONValue = ["rope_type": "linear", "factor": 2, "rope_theta": 500_000]
    let again = try Self.read(["model_type": "llama", "rope_parameters": newer]).configuration
    #expect(again["rope_parameters"] == newer)
    #expect(again["rope_scaling"] == nil && again["rope_theta"] == nil)
  }

  @Test("Windows of Qwen2-MoE are in every other layer below one that config.json names")
  func alternatingWindows() throws {
    let keys: [String: JSONValue] = [
      "model_type": "qwen2_moe", "num_hidden_layers": 5, "use_sliding_window": true,
      "sliding_window": 7, "max_window_layers": 3,
    ]
    func seesAll(_ architecture: any Architecture) -> [Bool] {
      LanguageModel(architecture).blocks.map(\.mixer.seesAllTokens)
    }
    #expect(seesAll(try Self.read(.object(keys))) == [false, true, false, true, true])
    let made = Architectures.make(
      Self.section([
        "mixer": .string("qwen2_moe"), "depth": .integer(4), "window": .integer(16),
      ]), vocabulary: 25)
    // Such windows no number says.
    #expect(seesAll(made) == [false, false, false, false])
    let again = try Self.read(.object(made.configuration))
    #expect(seesAll(again) == [false, false, false, false])
  }

  @Test("Every other layer of Samba is attention in a window, or those that a list names")
  func sambaLayers() {
    func attention(_ values: [String: Value]) -> JSONValue? {
      let section = Self.section(
        values.merging(["mixer": .string("samba"), "depth": .integer(4)]) { $1 })
      return Architectures.make(section, vocabulary: 25).configuration["attn"]
    }
    #expect(attention([:])?["layers"] == [1, 3])
    #expect(attention([:])?["window_size"] == 2048)
    let first = ["layers": Self.names("attention", "samba"), "window": .integer(9)]
    #expect(attention(first)?["layers"] == [0, 2])
    #expect(attention(first)?["window_size"] == 9)
    #expect(attention(["layers": Self.names("samba", "full_attention")])?["window_size"] == .null)
    #expect(attention(["layers": Self.names("samba")]) == .null)
  }

  @Test(
    "Attention and other families stand in Mamba's and xLSTM's skeletons under the mixer's name")
  func otherSkeletons() throws {
    func model(_ layers: Value, _ more: [String: Value] = [:]) -> any Architecture {
      let values: [String: Value] = ["layers": layers, "depth": .integer(2)]
      return Architectures.make(Self.section(values.merging(more) { $1 }), vocabulary: 25)
    }
    let scans = model(Self.names("mamba2", "attention"), ["window": .integer(9)])
    #expect(scans.configuration["attn"]?["layers"] == [1])
    #expect(scans.configuration["attn"]?["window_size"] == 9)
    #expect(scans.configuration["layer_types"] == nil)
    #expect(Self.shapes(scans)["backbone.layers.0.mixer.in_proj.weight"] != nil)
    #expect(Self.shapes(scans)["backbone.layers.1.mixer.q_proj.weight"] == [64, 64])
    let gated = model(Self.names("xlstm", "forgetting_transformer"))
    #expect(gated.configuration["layer_types"] == ["xlstm", "forgetting_transformer"])
    #expect(gated.configuration["mixers"]?["forgetting_transformer"]?["num_heads"] == 4)
    #expect(Self.shapes(gated)["backbone.blocks.1.mlstm_layer.f_proj.bias"] == [4])
    let mixed = model(Self.names("rwkv7", "rwkv6"))
    #expect(mixed.configuration["mixers"]?["rwkv6"]?["proj_low_rank_dim"] == 32)
    #expect(Self.shapes(mixed)["model.layers.1.attn.bonus"] == [4, 8])
    #expect(Self.shapes(mixed)["model.layers.1.ffn.x_k"] == [64])
    #expect(Self.shapes(mixed)["model.layers.1.attn.v_lora.lora.0.weight"] == nil)
    let guest = model(Self.names("gla", "mamba2"))
    #expect(guest.configuration["model_type"] == "gla")
    #expect(Self.shapes(guest)["model.layers.1.attn.A_log"] == [4])
    #expect(Self.shapes(guest)["model.layers.1.mlp.gate_proj.weight"] != nil)
  }

  @Test("xLSTM's weights begin as its makers have them, or as a run file says")
  func initialXLSTM() throws {
    let usual = Architectures.make(Self.section(["mixer": .string("xlstm")]), vocabulary: 25)
    #expect(usual.initialDeviation == (2 / (5 * 64.0)).squareRoot())
    #expect(usual.configuration["initializer_range"] == nil)
    let said = Architectures.make(
      Self.section(["mixer": .string("xlstm"), "init_std": .number(0.1)]), vocabulary: 25)
    #expect(said.initialDeviation == 0.1)
    #expect(try Self.read(.object(said.configuration)).initialDeviation == 0.1)
  }

  @Test("A list of layers repeats; its attention layers are those of config.json's attn")
  func hybrid() throws {
    let model = Architectures.make(Self.hybrid, vocabulary: 25)
    let attn = try #require(model.configuration["attn"])
    #expect(attn["layers"] == [0, 2])
    #expect(attn["window_size"] == 16)
    #expect(Self.shapes(model)["model.layers.2.attn.q_proj.weight"]?.dimensions == [64, 64])
    #expect(Self.shapes(model)["model.layers.3.attn.A_log"]?.dimensions == [4])
  }

  @Test("Families of one skeleton stand in one model, which layer_types describes")
  func families() throws {
    let model = Architectures.make(
      Self.section([
        "layers": Self.names("gla", "delta_net", "attention", "full_attention"),
        "depth": .integer(4), "window": .integer(9),
      ]), vocabulary: 25)
    let keys = model.configuration
    #expect(keys["model_type"] == "gla")
    #expect(keys["layer_types"] == ["gla", "delta_net", "attention", "full_attention"])
    #expect(keys["attn"]?["layers"] == [2, 3])
    #expect(keys["mixers"]?["delta_net"]?["num_heads"] == 4)
    let shapes = Self.shapes(model)
    #expect(shapes["model.layers.0.attn.gk_proj.0.weight"] != nil)
    #expect(shapes["model.layers.1.attn.b_proj.weight"]?.dimensions == [4, 64])
    let mixers = LanguageModel(model).blocks.map(\.mixer)
    #expect(mixers.map(\.seesAllTokens) == [false, false, false, true])
  }

  @Test("The baseline without gates is linear attention with elu, written as such")
  func baseline() {
    let section = Self.section([
      "mixer": .string("none"), "layers": Self.names("none", "attention"), "depth": .integer(2),
    ])
    #expect(section.problems == [])
    let model = Architectures.make(section, vocabulary: 25)
    #expect(model.configuration["model_type"] == "linear_attn")
    #expect(model.configuration["feature_map"] == "elu")
    #expect(model.configuration["norm_feature_map"] == false)
    let both = Self.section(["layers": Self.names("none", "linear_attn"), "depth": .integer(2)])
    #expect(both.problems.map(\.message).contains { $0.contains("choose one of them") })
  }

  @Test("A tied head is no tensor of its own")
  func tied() {
    let model = LanguageModel(Architectures.make(Self.tied, vocabulary: 25))
    #expect(model.tensors.allSatisfy { $0.name != "lm_head.weight" })
  }

  @Test("Gated DeltaNet's decays begin with rates up to 16 and steps from 0.001 to 0.1")
  func initialDecays() throws {
    let model = LanguageModel(
      try Self.read([
        "model_type": "gated_deltanet", "num_heads": 200, "head_dim": 2, "num_hidden_layers": 1,
        "hidden_size": 8,
      ]))
    func initial(_ name: String) throws -> [Double] {
      let parameter = try #require(model.table.parameter(named: "model.layers.0.attn." + name))
      let range = model.table[parameter].range
      var numbers = [Float](repeating: 0, count: range.count)
      numbers.withUnsafeMutableBufferPointer {
        model.table.initialize(range, seed: 3, into: $0.baseAddress!)
      }
      return numbers.map(Double.init)
    }
    let rates = try initial("A_log").map(exp)
    #expect(rates.allSatisfy { $0 > 0 && $0 <= 16.001 })
    #expect(abs(rates.reduce(0, +) / 200 - 8) < 1)
    let steps = try initial("dt_bias").map { log1p(exp($0)) }
    #expect(steps.allSatisfy { (0.000_999...0.100_1).contains($0) })
    #expect(abs(steps.map(log10).reduce(0, +) / 200 + 2) < 0.15)
  }

  @Test(
    "Keys of recurrences without a delta rule may have more than 256 numbers",
    arguments: ["gla", "retnet", "hgrn2", "regla", "gateloop", "rwkv6"])
  func wideKeys(type: String) throws {
    let model = try Self.read([
      "model_type": .string(type), "hidden_size": 512, "num_heads": 1, "expand_k": 1,
      "expand_ratio": type == "hgrn2" ? 512 : .null, "num_hidden_layers": 1, "vocab_size": 8,
    ])
    #expect(LanguageModel(model).blocks.count == 1)
  }

  /// A `config.json` that cannot be, and what the sentence about it names.
  struct Refusal: Sendable {
    let json: JSONValue
    let key: String

    init(_ json: JSONValue, key: String) { (self.json, self.key) = (json, key) }
  }

  static let refusals: [Refusal] = [
    Refusal(["model_type": "gla", "num_heads": 7], key: "num_heads"),
    Refusal(["model_type": "gla", "num_kv_heads": 3], key: "num_heads"),
    Refusal(
      ["model_type": "gla", "num_hidden_layers": 1, "layer_types": ["linear_attention"]],
      key: "layer_types"),
    Refusal(["model_type": "gla", "layer_types": ["gla"]], key: "layer_types"),
    Refusal(
      ["model_type": "gla", "num_hidden_layers": 1, "layer_types": ["attention"]],
      key: "layer_types"),
    Refusal(
      [
        "model_type": "gla", "num_hidden_layers": 1, "layer_types": ["delta_net"],
        "mixers": ["delta_net": ["num_heads": 7]],
      ], key: "mixers.delta_net.num_heads"),
    Refusal(["model_type": "lightnet", "hidden_size": 512, "num_heads": 1], key: "num_heads"),
    Refusal(["model_type": "delta_net", "hidden_size": 512, "num_heads": 1], key: "num_heads"),
    Refusal(["model_type": "gla", "feature_map": "taylor"], key: "feature_map"),
    Refusal(["model_type": "gla", "feature_map": "hedgehog"], key: "feature_map"),
    Refusal(["model_type": "linear_attn", "feature_map": "sigmoid"], key: "feature_map"),
    Refusal(
      ["model_type": "linear_attn", "feature_map": "dpfp", "num_heads": 2], key: "num_heads"),
    Refusal(["model_type": "rebased", "num_heads": 8], key: "num_key_value_heads"),
    Refusal(["model_type": "rebased", "feature_dim": 91], key: "feature_dim"),
    Refusal(["model_type": "retnet", "hidden_act": "gelu"], key: "hidden_act"),
    Refusal(["model_type": "delta_net", "qk_norm": "l1"], key: "qk_norm"),
    Refusal(["model_type": "delta_net", "conv_size": 9], key: "conv_size"),
    Refusal(["model_type": "gated_deltanet", "num_v_heads": 8], key: "num_heads"),
    Refusal(["model_type": "gated_deltanet", "head_dim": 3, "expand_v": 0.5], key: "num_heads"),
    Refusal(["model_type": "transformer", "num_heads": 2048], key: "num_heads"),
    Refusal(["model_type": "gla", "attn": ["num_heads": 4]], key: "attn.layers"),
    Refusal(["model_type": "gla", "attn": ["layers": [24], "num_heads": 4]], key: "attn.layers"),
    Refusal(
      ["model_type": "gla", "attn": ["layers": [1], "num_heads": 5]], key: "attn.num_heads"),
    Refusal(["model_type": "hgrn2", "expand_ratio": 100], key: "expand_ratio"),
    Refusal(["model_type": "hgrn2", "expand_ratio": 64, "num_heads": 4], key: "expand_ratio"),
    Refusal(["model_type": "lightnet", "expand_ratio": 100], key: "expand_ratio"),
    Refusal(["model_type": "gsa", "feature_map": "t2r"], key: "feature_map"),
    Refusal(["model_type": "gsa", "expand_v": 2], key: "expand_v"),
    Refusal(["model_type": "gsa", "num_slots": 300], key: "num_slots"),
    Refusal(["model_type": "hgrn", "expand_ratio": 0.0001], key: "expand_ratio"),
    Refusal(["model_type": "mamba", "conv_kernel": 9], key: "conv_kernel"),
    Refusal(["model_type": "mamba", "time_step_rank": 0], key: "time_step_rank"),
    Refusal(
      ["model_type": "mamba2", "attn": ["layers": [1], "num_heads": 5]], key: "attn.num_heads"),
    Refusal(
      [
        "model_type": "gla", "num_hidden_layers": 1, "layer_types": ["mamba2"],
        "mixers": ["mamba2": ["head_dim": 64, "n_groups": 3]],
      ], key: "mixers.mamba2.n_groups"),
    Refusal(["model_type": "mamba", "hidden_act": "relu"], key: "hidden_act"),
    Refusal(["model_type": "samba", "hidden_size": 2048], key: "attn.num_heads"),
    Refusal(
      ["model_type": "samba", "attn": ["layers": [18], "num_heads": 18]], key: "attn.layers"),
    Refusal(["model_type": "mamba2", "head_dim": 48], key: "head_dim"),
    Refusal(["model_type": "mamba2", "n_groups": 3], key: "n_groups"),
    Refusal(["model_type": "mamba2", "num_heads": 3], key: "num_heads"),
    Refusal(["model_type": "mamba2", "dt_limit": [0.5, 0.1]], key: "dt_limit"),
    Refusal(["model_type": "kda", "lower_bound": 0.5], key: "lower_bound"),
    Refusal(["model_type": "gated_deltaproduct", "num_householder": 17], key: "num_householder"),
    Refusal(["model_type": "rwkv6", "num_heads": 3], key: "num_heads"),
    Refusal(["model_type": "rwkv6", "hidden_act": "relu"], key: "hidden_act"),
    Refusal(["model_type": "rwkv7", "head_dim": 3], key: "head_dim"),
    Refusal(["model_type": "rwkv7", "num_heads": 4], key: "head_dim"),
    Refusal(
      ["model_type": "rwkv7", "num_hidden_layers": 2, "value_dim": [2048, 4096]], key: "value_dim"),
    Refusal(["model_type": "llama", "num_attention_heads": 7], key: "num_attention_heads"),
    Refusal(["model_type": "llama", "head_dim": 5], key: "num_attention_heads"),
    Refusal(["model_type": "llama", "num_key_value_heads": 5], key: "num_attention_heads"),
    Refusal(["model_type": "llama", "hidden_act": "gelu"], key: "hidden_act"),
    Refusal(["model_type": "llama", "sliding_window": 9], key: "sliding_window"),
    Refusal(["model_type": "mistral", "attention_bias": true], key: "attention_bias"),
    Refusal(
      ["model_type": "llama", "rope_scaling": ["rope_type": "dynamic", "factor": 2]],
      key: "rope_scaling.rope_type: \"dynamic\" is not computed here, only \"default\", \"linear\""),
    Refusal(
      ["model_type": "qwen2", "rope_scaling": ["type": "longrope", "factor": 2]],
      key: "rope_scaling.type: \"longrope\""),
    Refusal(
      ["model_type": "llama", "rope_scaling": ["rope_type": "linear"]], key: "rope_scaling.factor"),
    Refusal(
      [
        "model_type": "llama",
        "rope_parameters": ["rope_type": "llama3", "factor": 8, "low_freq_factor": 4],
      ], key: "rope_parameters.high_freq_factor"),
    Refusal(
      [
        "model_type": "llama", "rope_parameters": ["rope_type": "default"],
        "rope_scaling": ["rope_type": "linear", "factor": 2],
      ], key: "rope_scaling"),
    Refusal(
      [
        "model_type": "llama",
        "rope_scaling": [
          "rope_type": "yarn", "factor": 2, "beta_fast": 1e-300,
          "original_max_position_embeddings": 1e300,
        ],
      ], key: "rope_scaling: its numbers give frequencies that are not finite"),
    Refusal(
      ["model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]],
      key: "layer_types"),
    Refusal(
      ["model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["linear_attention"]],
      key: "layer_types"),
    Refusal(["model_type": "qwen2", "layer_types": ["full_attention"]], key: "layer_types"),
    Refusal(
      ["model_type": "mistral", "num_hidden_layers": 1, "layer_types": ["full_attention"]],
      key: "layer_types"),
    Refusal(["model_type": "mamba3"], key: "mamba3"),
  ]

  @Test("What cannot be is refused by the key that is wrong", arguments: refusals)
  func refused(_ refusal: Refusal) throws {
    let error = try #require(throws: ModelError.self) { try Self.read(refusal.json) }
    #expect(error.description.contains(refusal.key))
  }
}
