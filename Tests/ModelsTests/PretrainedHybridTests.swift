import Configuration
import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Hybrids of other makers")
struct PretrainedHybridTests {
  private static func read(_ type: String, _ keys: [String: JSONValue] = [:]) throws
    -> any Architecture
  {
    try Architectures.read(
      .object(keys.merging(["model_type": .string(type)]) { $1 })
    ).architecture
  }

  private static func shapes(_ architecture: any Architecture) -> [String: Shape] {
    Dictionary(
      uniqueKeysWithValues: LanguageModel(architecture).tensors.map { ($0.name, $0.shape) })
  }

  private static func seesAll(_ architecture: any Architecture) -> [Bool] {
    LanguageModel(architecture).blocks.map(\.mixer.seesAllTokens)
  }

  private static let small: [String: JSONValue] = [
    "hidden_size": 64, "intermediate_size": 32, "vocab_size": 20, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 3,
    "mamba_n_heads": 8, "mamba_d_state": 4,
  ]

  private static func made(_ type: String, _ keys: [String: JSONValue] = [:]) throws
    -> any Architecture
  {
    // Experts are a key that Bamba does not have.
    let own = type == "bamba" ? small.filter { $0.key != "num_local_experts" } : small
    return try read(type, own.merging(keys) { $1 })
  }

  private static func problem(_ type: String, _ keys: [String: JSONValue]) -> String {
    do {
      _ = try made(type, keys)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("They have the shapes of transformers' by default")
  func defaults() throws {
    let miniMax = Self.shapes(
      try Self.read("minimax", ["num_hidden_layers": 2, "num_local_experts": 2]))
    #expect(miniMax["model.layers.0.self_attn.k_proj.weight"] == [1024, 4096])
    #expect(miniMax["model.layers.1.self_attn.qkv_proj.weight"] == [12288, 4096])
    #expect(miniMax["model.layers.1.self_attn.norm.weight"] == [4096])
    #expect(miniMax["model.layers.1.block_sparse_moe.experts.1.w2.weight"] == [4096, 14336])
    let bamba = Self.shapes(try Self.read("bamba", ["num_hidden_layers": 1]))
    #expect(bamba["model.layers.0.mamba.in_proj.weight"] == [16384 + 512 + 128, 4096])
    #expect(bamba["model.layers.0.mamba.conv1d.bias"] == [8192 + 512])
    #expect(bamba["model.layers.0.feed_forward.down_proj.weight"] == [4096, 14336])
    #expect(bamba["model.final_layernorm.weight"] == [4096])
    #expect(bamba["model.embed_tokens.weight"] == [128_000, 4096])
    let granite = Self.shapes(try Self.read("granitemoehybrid", ["num_hidden_layers": 1]))
    #expect(granite["model.layers.0.block_sparse_moe.input_linear.weight"] == [8, 22016, 4096])
    #expect(granite["model.layers.0.block_sparse_moe.output_linear.weight"] == [8, 4096, 11008])
    #expect(granite["model.layers.0.block_sparse_moe.router.layer.weight"] == [8, 4096])
    #expect(granite["model.layers.0.shared_mlp.input_linear.weight"] == [2048, 4096])
    #expect(granite["model.layers.0.mamba.D"] == [128])
  }

  @Test(
    "Which layers are attention follows from layer_types in any of its words, or the family's rule")
  func layers() throws {
    #expect(Self.seesAll(try Self.made("minimax")) == [true, false, true, false])
    #expect(Self.seesAll(try Self.made("granitemoehybrid")) == [false, false, false, false])
    #expect(Self.seesAll(try Self.made("bamba")) == [false, false, false, false])
    let indices = try Self.made("bamba", ["attn_layer_indices": [1, 2]])
    #expect(Self.seesAll(indices) == [false, true, true, false])
    #expect(indices.configuration["attn_layer_indices"] == [1, 2])
    let types: JSONValue = ["mamba", "attention", "linear_attention", "full_attention"]
    for family in ["minimax", "granitemoehybrid"] {
      let named = try Self.made(family, ["layer_types": types])
      #expect(Self.seesAll(named) == [false, true, false, true])
      #expect(named.configuration["layer_types"] == types)
    }
    let windowed = try Self.made("minimax", ["sliding_window": 9])
    #expect(Self.seesAll(windowed) == [false, false, false, false])
  }

  @Test(
    "A run file's layers are their families' and attention; without them, as those of a config.json that says nothing"
  )
  func runFile() throws {
    func model(_ mixer: String, _ layers: [String]) throws -> any Architecture {
      let section = ModelSection([
        "mixer": .string(mixer), "depth": .integer(4),
        "layers": .list(layers.map { .string($0) }),
      ])
      #expect(section.problems == [])
      return try Architectures.read(
        .object(Architectures.make(section, vocabulary: 9).configuration)
      ).architecture
    }
    #expect(Self.seesAll(try model("minimax", [])) == [true, false, true, false])
    #expect(Self.seesAll(try model("bamba", [])) == [false, false, false, false])
    for family in ["minimax", "bamba", "granitemoehybrid"] {
      let found = try model(family, [family, "attention"])
      #expect(Self.seesAll(found) == [false, true, false, true])
      #expect(
        Architectures.keys(describing: found)["layers"]
          == .list([family, "attention", family, "attention"].map { .string($0) }))
    }
  }

  /// A model section that cannot be, and the key that is named.
  struct Mistake: Sendable {
    let keys: [String: Value]
    let name: String

    init(_ keys: [String: Value], _ name: String) { (self.keys, self.name) = (keys, name) }
  }

  @Test(
    "What a run file has wrong is told by its key",
    arguments: [
      Mistake(
        [
          "layers": .list([.string("minimax"), .string("full_attention")]),
          "window": .integer(9), "depth": .integer(2),
        ], "layers"),
      Mistake(["mixer": .string("minimax"), "norm": .string("post")], "norm"),
      Mistake(["mixer": .string("bamba"), "window": .integer(9)], "window"),
      Mistake(["mixer": .string("minimax"), "heads": .integer(5)], "heads"),
      Mistake(["mixer": .string("granitemoehybrid"), "bias": .boolean(true)], "bias"),
    ])
  func mistakes(mistake: Mistake) {
    let problems = ModelSection(mistake.keys).problems
    #expect(problems.contains { "\($0)".contains(mistake.name) }, "\(problems)")
  }

  @Test(
    "Slopes of Lightning attention are those of transformers, for any number of heads and one layer"
  )
  func slopes() {
    let one = LightningMixer.slopes(3, layer: 0, depth: 1)
    for (h, slope) in one.enumerated() {
      #expect(abs(slope - pow(2, -8 * Double(h + 1) / 3) * 1.00001) < 1e-12)
    }
    let last = LightningMixer.slopes(4, layer: 3, depth: 4)
    #expect(last.allSatisfy { $0 > 0 && $0 < 1e-5 })
    let place = MixerPlace(layer: 1, depth: 3, dimension: 4, epsilon: 1e-5, name: "a.")
    let constants = LightningMixer.constants(heads: 2, at: place, block: 3)
    let s = LightningMixer.slopes(2, layer: 1, depth: 3)
    #expect(
      constants.map(\.name)
        == ["slope_rate", "query_decay", "key_decay", "diagonal_decay"].map { "a." + $0 })
    #expect(constants.map(\.shape) == [[2, 1, 1], [2, 3, 1], [2, 3, 1], [1, 2, 3, 3]])
    #expect(constants[0].number(1) == Float(s[1]))
    #expect(
      constants[1].number(3) == Float(exp(-s[1])) && constants[1].number(2) == Float(exp(-3 * s[0]))
    )
    #expect(constants[2].number(3) == Float(exp(-2 * s[1])) && constants[2].number(2) == 1)
    #expect(constants[3].number(9) == 1 && constants[3].number(10) == 0)
    #expect(constants[3].number(9 + 6) == Float(exp(-2 * s[1])))
  }

  @Test("Positions turn what a family says of a head, or nothing")
  func positions() throws {
    func rotated(_ architecture: any Architecture) -> Int? {
      LanguageModel(architecture).blocks.compactMap {
        ($0.mixer as? AttentionMixer)?.projections.positions.dimension
      }.first
    }
    #expect(rotated(try Self.made("minimax")) == 16)
    let partial = try Self.made("minimax", ["rotary_dim": 8])
    #expect(rotated(partial) == 8)
    #expect(partial.notices.count == 1)
    let bamba: [String: JSONValue] = ["attn_layer_indices": [1]]
    #expect(rotated(try Self.made("bamba", bamba)) == 8)
    // What stands beside rope_parameters is overruled by a half.
    #expect(
      rotated(try Self.made("bamba", bamba.merging(["partial_rotary_factor": 1]) { $1 })) == 8)
    let inside: JSONValue = ["rope_theta": 1000, "partial_rotary_factor": 0.25]
    #expect(rotated(try Self.made("bamba", bamba.merging(["rope_parameters": inside]) { $1 })) == 4)
    let granite: [String: JSONValue] = [
      "layer_types": ["attention", "mamba", "mamba", "mamba"]
    ]
    #expect(rotated(try Self.made("granitemoehybrid", granite)) == 0)
    for (word, numbers) in [("nope", 0), ("rope", 16)] {
      let model = try Self.made(
        "granitemoehybrid", granite.merging(["position_embedding_type": .string(word)]) { $1 })
      #expect(rotated(model) == numbers)
      #expect(model.configuration["position_embedding_type"] == .string(word))
    }
  }

  @Test("Factors and names are written as they were read")
  func writtenAgain() throws {
    let keys: [String: [String: JSONValue]] = [
      "minimax": [
        "full_attn_alpha_factor": 3.5, "mlp_beta_factor": 0.5, "block_size": 64, "rotary_dim": 8,
        "sliding_window": 7, "rope_theta": 100.0, "router_aux_loss_coef": 0.5,
      ],
      "bamba": [
        "z_loss_coefficient": 0.25, "mamba_d_head": 16, "time_step_limit": [0.25, 2.0],
        "attention_bias": true, "mamba_n_groups": 2, "mamba_conv_bias": false,
      ],
      "granitemoehybrid": [
        "embedding_multiplier": 12.0, "residual_multiplier": 0.25, "logits_scaling": 8.0,
        "attention_multiplier": 0.125, "shared_intermediate_size": 24, "num_local_experts": 0,
      ],
    ]
    for (family, keys) in keys {
      let written = try Self.made(family, keys).configuration
      for (key, value) in keys { #expect(written[key] == value, "\(key)") }
    }
  }

  @Test("Granite without experts has what all tokens take alone")
  func dense() throws {
    let shapes = Self.shapes(
      try Self.made(
        "granitemoehybrid", ["num_local_experts": 0, "shared_intermediate_size": 24]))
    #expect(shapes["model.layers.0.shared_mlp.input_linear.weight"] == [48, 64])
    #expect(shapes["model.layers.0.shared_mlp.output_linear.weight"] == [64, 24])
    #expect(!shapes.keys.contains { $0.contains("block_sparse_moe") })
  }

  @Test("Weights of Mamba-2 begin as transformers has them")
  func initial() throws {
    let model = LanguageModel(try Self.made("bamba"))
    func first(_ name: String) throws -> [Float] {
      let range = model.table[
        try #require(model.table.parameter(named: "model.layers.0.mamba." + name))
      ].range
      var numbers = [Float](repeating: 0, count: range.count)
      numbers.withUnsafeMutableBufferPointer {
        model.table.initialize(range, seed: 1, into: $0.baseAddress!)
      }
      return numbers
    }
    #expect(try first("A_log") == (1...8).map { Float(log(Double($0))) })
    #expect(try first("dt_bias") == [Float](repeating: 1, count: 8))
    #expect(try first("D") == [Float](repeating: 1, count: 8))
  }

  /// Keys that are refused, and what the sentence has.
  struct Refusal: Sendable {
    let type: String
    let keys: [String: JSONValue]
    let words: String

    init(_ type: String, _ keys: [String: JSONValue], _ words: String) {
      (self.type, self.keys, self.words) = (type, keys, words)
    }
  }

  @Test(
    "What cannot be, or is not computed, is refused by its key",
    arguments: [
      Refusal("minimax", ["router_jitter_noise": 0.1], "router_jitter_noise: 0.1"),
      Refusal("minimax", ["hidden_act": "gelu"], "hidden_act: \"gelu\""),
      Refusal("minimax", ["attention_dropout": 0.1], "attention_dropout: 0.1"),
      Refusal("minimax", ["partial_rotary_factor": 0.5], "partial_rotary_factor: 0.5"),
      Refusal(
        "minimax", ["rope_parameters": ["rope_theta": 5.0, "partial_rotary_factor": 0.5]],
        "rope_parameters.partial_rotary_factor: 0.5"),
      Refusal("minimax", ["postnorm": false], "postnorm: only true"),
      Refusal("minimax", ["rotary_dim": 5], "5 numbers of a head cannot be rotated by halves"),
      Refusal("minimax", ["rotary_dim": 32], "32 numbers of a head cannot turn"),
      Refusal("minimax", ["head_dim": 272], "272 numbers of a head are more than 264"),
      Refusal("minimax", ["norm_placement": "post"], "norm_placement"),
      Refusal("minimax", ["layer_types": ["full_attention"]], "it names 1 layers of 4"),
      Refusal(
        "granitemoehybrid",
        ["layer_types": ["mamba", "mamba", "mamba2", "attention"]],
        "layer_types: \"mamba2\" is not computed here, only \"full_attention\", \"attention\", "
          + "\"linear_attention\", \"mamba\""),
      Refusal("granitemoehybrid", ["mamba_n_heads": 7], "mamba_n_heads"),
      Refusal("granitemoehybrid", ["residual_multiplier": 0], "residual_multiplier"),
      Refusal("granitemoehybrid", ["mamba_d_state": 300], "mamba_d_state"),
      Refusal("bamba", ["mamba_d_head": 8], "mamba_d_head: 8 heads of 8"),
      Refusal("bamba", ["mamba_n_groups": 3], "mamba_n_groups: 3 groups"),
      Refusal("bamba", ["attn_layer_indices": [4]], "attn_layer_indices: there is no layer 4"),
      Refusal("bamba", ["z_loss_coefficient": -1], "z_loss_coefficient"),
      Refusal("bamba", ["mamba_d_conv": 9], "mamba_d_conv"),
      Refusal("bamba", ["time_step_limit": [2, 1]], "time_step_limit"),
    ])
  func refusals(refusal: Refusal) {
    #expect(Self.problem(refusal.type, refusal.keys).contains(refusal.words))
  }

  @Test(
    "Other hybrids are refused by name, in a sentence of their own",
    arguments: [
      "falcon_h1", "nemotron_h", "zamba2", "jamba", "lfm2", "olmo_hybrid", "qwen3_5",
      "bailing_hybrid", "minimax_m1", "minimax_m2", "minimax_text_01",
    ])
  func others(name: String) {
    let problem = Self.problem(name, [:])
    #expect(problem.hasPrefix("model_type \"\(name)\": "))
    #expect(!problem.contains("is not known"))
    if name == "minimax_text_01" { #expect(problem.contains("-hf")) }
  }
}
