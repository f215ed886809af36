import Configuration
import Testing

@testable import Models

@Suite("Configurations that other programs wrote")
struct ForeignConfigurationTests {
  private static func problem(_ json: JSONValue) -> String? {
    do {
      _ = try Architectures.read(json)
      return nil
    } catch {
      return "\(error)"
    }
  }

  private static func with(
    _ key: String, _ value: JSONValue, in type: String
  ) -> JSONValue {
    let tnl: [String: JSONValue] = [
      "decoder_embed_dim": 16, "decoder_layers": 2, "vocab_size": 20, "decoder_attention_heads": 2,
    ]
    return .object(
      (type == "transnormer" ? tnl : [:]).merging(["model_type": .string(type), key: value]) { $1 })
  }

  @Test(
    "A value of the wrong type is refused with key, value and type, and has never the default instead",
    arguments: [
      ("gla", "norm_eps", "0.1", "norm_eps is \"0.1\", a text, but must be a number"),
      ("gla", "clamp_min", "-0.01", "clamp_min is \"-0.01\", a text, but must be a number"),
      ("gla", "expand_k", [1], "expand_k is [1], a list, but must be a number"),
      ("transformer", "rope_theta", "5e5", "rope_theta is \"5e5\", a text, but must be a number"),
      ("gated_deltanet", "use_gate", 2, "use_gate is 2, a whole number, but must be true or false"),
      (
        "gated_deltanet", "use_gate", "no", "use_gate is \"no\", a text, but must be true or false"
      ),
      ("delta_net", "qk_norm", true, "qk_norm is true, true or false, but must be a text"),
      ("gla", "num_heads", 2.5, "num_heads is 2.5, a number, but must be a whole number"),
      ("gla", "num_kv_heads", "2", "num_kv_heads is \"2\", a text, but must be a whole number"),
      ("gla", "attn", "all", "attn is \"all\", a text, but must be an object"),
      (
        "gla", "attn", ["layers": [0, 1.5], "num_heads": 4],
        "attn.layers is [0,1.5], a list, but must be a list of whole numbers"
      ),
      (
        "gla", "attn", ["layers": [0], "num_heads": 4, "rope_theta": "x"],
        "attn.rope_theta is \"x\", a text, but must be a number"
      ),
      ("transnormer", "bias", "true", "bias is \"true\", a text, but must be true or false"),
      (
        "transnormer", "linear_use_lrpe_list", [1, 2],
        "linear_use_lrpe_list is [1,2], a list, but must be a list of true or false"
      ),
      ("gla", "hidden_size", 0, "hidden_size: 0 is not positive"),
      ("gla", "num_heads", -4, "num_heads: -4 is not positive"),
      ("gla", "vocab_size", 4_000_000_000, "vocab_size: 4000000000 is above 1048576"),
      ("gla", "expand_k", 1e300, "expand_k: 1e+300 is above 1024"),
      ("gla", "hidden_ratio", 0, "hidden_ratio: 0.0 is not positive"),
      ("gla", "initializer_range", -0.02, "initializer_range: -0.02 is negative"),
      ("gla", "clamp_min", 0.5, "clamp_min: 0.5 is above 0, where no log decay is"),
      (
        "gla", "hidden_act", "gelu",
        "hidden_act: \"gelu\" is not computed here, only \"swish\", \"silu\""
      ),
      ("gla", "attn", ["num_heads": 4], "the key attn.layers is missing"),
      ("transformer", "rope_theta", 0.5, "rope_theta: 0.5 is not above 1"),
      (
        "liger_gla", "pool_size", 64,
        "pool_size: 64 gates a head, and liger_gla has one for each of its 128 numbers; give 128"
      ),
      (
        "liger_qwen3_gsa", "expand_k", 0.5,
        "expand_k: only 1 is computed here, as the Transformer's projections are of that width"
      ),
      (
        "lolcats_llama", "feature_map", "hedgehog",
        "feature_map: \"hedgehog\" is not computed here, only \"softmax_dim\", \"exp_dim\", \"relu\", "
          + "\"elu\""
      ),
      (
        "lolcats_llama", "attn", ["layers": [32]],
        "attn.layers: there is no layer 32 in a model of 32"
      ),
      (
        "supra_llama", "feature_dim", 3,
        "feature_dim: 3 features of a head cannot be rotated by halves; choose an even number"
      ),
    ] as [(String, String, JSONValue, String)])
  func wrongType(type: String, key: String, value: JSONValue, sentence: String) {
    #expect(Self.problem(Self.with(key, value, in: type)) == sentence)
  }

  @Test(
    "What Qwen3-Next and Kimi Linear may be and is not computed here is refused by its key",
    arguments: [
      (
        "qwen3_next", ["linear_num_value_heads": 24],
        "linear_num_value_heads: 16 heads do not divide 24 heads of values; use a multiple of 16"
      ),
      (
        "qwen3_next", ["hidden_act": "gelu"],
        "hidden_act: \"gelu\" is not computed here, only \"silu\", \"swish\""
      ),
      (
        "qwen3_next", ["attention_dropout": 0.1],
        "attention_dropout: 0.1: nothing is dropped here, only 0 is computed"
      ),
      (
        "qwen3_next", ["rope_parameters": ["rope_type": "dynamic", "factor": 2]],
        "rope_parameters.rope_type: \"dynamic\" is not computed here, only \"default\", \"linear\", "
          + "\"llama3\", \"yarn\""
      ),
      (
        "qwen3_next", ["head_dim": 12, "rope_scaling": ["rope_type": "yarn", "factor": 2]],
        "partial_rotary_factor: 3 numbers of a head cannot be rotated by halves; choose an even number"
      ),
      (
        "qwen3_next", ["layer_types": ["full_attention"]],
        "layer_types: it names 1 layers of 48; name every layer"
      ),
      (
        "kimi_linear", ["num_key_value_heads": 8],
        "num_key_value_heads: 8 heads cannot serve 32 heads here; each has keys of its own, write 32"
      ),
      (
        "kimi_linear", ["tie_word_embeddings": true],
        "tie_word_embeddings: such models do not tie them; write false"
      ),
      (
        "kimi_linear", ["mla_use_nope": false],
        "mla_use_nope: false: rotary positions are not computed here, only true"
      ),
      (
        "kimi_linear", ["moe_router_activation_func": "softmax"],
        "moe_router_activation_func: \"softmax\" is not computed here, only \"sigmoid\""
      ),
      (
        "kimi_linear", ["moe_layer_freq": 2],
        "moe_layer_freq: 2 is not computed here, only 1"
      ),
      (
        "kimi_linear", ["num_nextn_predict_layers": 1],
        "num_nextn_predict_layers: 1 changes what the model computes, and is not computed here, only 0"
      ),
      (
        "kimi_linear", ["num_expert_group": 2, "topk_group": 3],
        "num_expert_group: a token's experts cannot be in 3 of 2 groups; choose at most 2"
      ),
      (
        "kimi_linear", ["n_group": 3],
        "n_group: 256 experts cannot be dealt into 3 groups; choose a divisor"
      ),
      (
        "kimi_linear", ["n_group": 256, "topk_group": 8],
        "n_group: a group of one expert has no two best, by which groups are compared; use fewer groups"
      ),
      (
        "kimi_linear", ["n_group": 64],
        "n_group: a token takes 8 experts, and 1 of 64 groups have 4"
      ),
      (
        "kimi_linear", ["num_experts": 8, "num_local_experts": 9],
        "num_local_experts: it is not num_experts, 8; remove one of them"
      ),
      (
        "kimi_linear", ["mlp_layer_types": ["dense"]],
        "mlp_layer_types: it names 1 layers of 27; name every layer"
      ),
      (
        "kimi_linear", ["linear_attn_config": ["full_attn_layers": [0], "kda_layers": [1]]],
        "linear_attn_config.full_attn_layers: it and kda_layers do not name each of the layers 1 to 27 "
          + "once"
      ),
    ] as [(String, JSONValue, String)])
  func hybrids(type: String, keys: JSONValue, sentence: String) {
    let json = (keys.object ?? [:]).merging(["model_type": .string(type)]) { $1 }
    #expect(Self.problem(.object(json)) == sentence)
  }

  @Test(
    "Makers' and transformers' words of Kimi Linear mean the same, and are written as they were read"
  )
  func words() throws {
    let makers: [String: JSONValue] = [
      "num_experts": 8, "num_experts_per_token": 3, "num_shared_experts": 2, "num_expert_group": 4,
      "topk_group": 2, "moe_renormalize": false, "model_max_length": 99,
      "linear_attn_config": [
        "full_attn_layers": [2], "kda_layers": [1, 3], "head_dim": 8, "num_heads": 4,
        "short_conv_kernel_size": 3,
      ],
      "first_k_dense_replace": 2, "num_hidden_layers": 3,
    ]
    let others: [String: JSONValue] = [
      "num_local_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 2, "n_group": 4,
      "topk_group": 2, "norm_topk_prob": false, "max_position_embeddings": 99,
      "layer_types": ["linear_attention", "full_attention", "linear_attention"],
      "linear_head_dim": 8, "linear_num_heads": 4, "linear_conv_kernel_dim": 3,
      "mlp_layer_types": ["dense", "dense", "sparse"], "num_hidden_layers": 3,
    ]
    let models = try [makers, others].map {
      try Architectures.read(.object($0.merging(["model_type": "kimi_linear"]) { $1 })).architecture
    }
    let shapes = models.map { LanguageModel($0).tensors.map { "\($0.name) \($0.shape)" } }
    #expect(shapes[0] == shapes[1])
    for (model, words) in zip(models, [makers, others]) {
      for (key, value) in words { #expect(model.configuration[key] == value, "\(key)") }
    }
  }

  @Test("A norm's epsilon must be positive")
  func epsilon() {
    #expect(
      Self.problem(Self.with("norm_eps", -1, in: "gla"))?.hasPrefix("norm_eps: -1.0 is not") == true
    )
  }

  @Test("All keys that are wrong are told at once, a handful of them")
  func several() {
    let two: JSONValue = ["model_type": "gla", "norm_eps": "0.1", "clamp_min": "x", "use_gk": 0]
    #expect(
      Self.problem(two)
        == "norm_eps is \"0.1\", a text, but must be a number; clamp_min is \"x\", a text, but must be "
        + "a number; use_gk: 0 changes what the model computes, and is not computed here, only true"
    )
    let four = Self.problem(["model_type": "transnormer", "bias": "no", "attention_bias": true])
    #expect(four?.components(separatedBy: " is missing; ").count == 5)
    #expect(four?.contains("bias is \"no\"") == true)
    let keys = ["alibi", "use_rope", "mlp_bias", "norm_bias", "use_gv", "conv_bias", "logit_scale"]
    let many = Self.problem(
      .object(
        ["model_type": "gla", "norm_eps": "0.1"].merging(keys.map { ($0, 7) }) { $1 }))
    #expect(many?.hasSuffix("; and 2 more") == true)
  }

  @Test("A key that a family does not look at may say anything")
  func ignored() throws {
    for (type, key, value) in [
      ("retnet", "use_short_conv", true), ("retnet", "conv_size", 4),
      ("gla", "gate_logit_normalizer", 8),
    ] as [(String, String, JSONValue)] {
      #expect(try Architectures.read(Self.with(key, value, in: type)).unknown == [], "\(key)")
    }
    #expect(Self.problem(Self.with("gate_logit_normalizer", 8, in: "delta_net")) != nil)
  }

  @Test("Flags may be 0 and 1, whole numbers may have a point, and null is the default")
  func spelling() throws {
    let read = { (key: String, value: JSONValue, type: String) in
      try Architectures.read(Self.with(key, value, in: type)).architecture.configuration[key]
    }
    #expect(try read("use_gate", 0, "gated_deltanet") == false)
    #expect(try read("use_gate", 1, "gated_deltanet") == true)
    #expect(try read("use_gate", .null, "gated_deltanet") == true)
    #expect(try read("num_heads", .number(8), "gla") == 8)
    #expect(try read("bias", 1, "transnormer") == true)
  }

  @Test(
    "A key that changes the mathematics is refused, unless its value is what is computed here",
    arguments: [
      ("attnres_block_size", 4, .null), ("attention_bias", true, false),
      ("rope_scaling", ["rope_type": "yarn", "factor": 4], ["rope_type": "default"]),
      ("hidden_activation", "gelu", "silu"), ("elementwise_affine", false, true),
      ("quantization_config", ["bits": 4], .null), ("partial_rotary_factor", 0.5, 1),
      ("conv_bias", 1, 0), ("logits_scaling", 8, 1.0), ("num_local_experts", 8, 1),
    ] as [(String, JSONValue, JSONValue)])
  func changesMathematics(key: String, wrong: JSONValue, right: JSONValue) throws {
    let problem = try #require(Self.problem(Self.with(key, wrong, in: "gla")))
    #expect(problem.hasPrefix("\(key): ") && problem.contains("changes what the model computes"))
    #expect(try Architectures.read(Self.with(key, right, in: "gla")).unknown == [])
  }

  @Test("Keys that say nothing are passed over, others are told, in inner objects too")
  func unknown() throws {
    let json: JSONValue = [
      "model_type": "gla", "architectures": ["GLAForCausalLM"], "use_cache": true,
      "torch_dtype": "bfloat16", "a_feature": false, "new_feature": 3, "another": "x",
      "attn": ["layers": [0], "num_heads": 8, "tilt": 2, "rope_scaling": .null],
    ]
    #expect(try Architectures.read(json).unknown == ["another", "attn.tilt", "new_feature"])
    let scaled: JSONValue = [
      "model_type": "gla",
      "attn": ["layers": [0], "num_heads": 8, "rope_scaling": ["type": "linear", "factor": 2]],
    ]
    #expect(Self.problem(scaled)?.contains("rope_scaling") == true)
  }
}
