import Autodiff
import Checkpoints
import Configuration
import Foundation
import Models
import ReferenceMath
import Tensors
import Testing

/// A model by its `config.json`, with weights so large that everything in it matters.
struct ModelCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let configuration: JSONValue
  /// The folder of its weights; nil where they are drawn.
  private let folder: String?
  /// The logits of one sequence, by weights of these names in files.
  private let logits: @Sendable (_ tokens: [Int32], _ weights: [String: Term]) -> Term

  /// A case of any architecture.
  ///
  /// - Parameter logits: The reference; TransNormerLLM's where none is given.
  init(
    _ name: String, _ configuration: JSONValue, folder: String? = nil,
    logits: (@Sendable (_ tokens: [Int32], _ weights: [String: Term]) -> Term)? = nil
  ) {
    (testDescription, self.configuration, self.folder) = (name, configuration, folder)
    self.logits =
      logits ?? { ReferenceTNL(configuration: configuration, weights: $1).logits($0) }
  }

  /// The models of `Tests/Fixtures` whose `model_type` is known: every architecture with its options.
  static let fixtures: [ModelCase] = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Fixtures").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return names.sorted().compactMap { name in
      let folder = "\(root)/\(name)"
      guard let configuration = try? JSONValue(file: folder + "/config.json"),
        let type = configuration["model_type"]?.string,
        Architectures.all.contains(where: { $0.modelTypes.contains(type) })
      else { return nil }
      return ModelCase(name, configuration, folder: folder)
    }
  }()

  /// Those of them that are pretrained Transformers, or were.
  static let pretrained = fixtures.filter { sample in
    ["llama", "qwen", "liger", "lolcats", "hedgehog", "t2r", "supra", "lizard"].contains {
      sample.testDescription.hasPrefix($0)
    }
  }

  /// TransNormerLLM as its options make it.
  static let all = [
    ModelCase("TNL", tnl(heads: 4, changing: [:])),
    ModelCase(
      "TNL, three heads wider than the model, biases, learned positions in the last layer",
      tnl(
        heads: 3,
        changing: [
          "hidden_dim": 18, "bias": true, "linear_use_lrpe_list": [0, 1],
          "no_scale_embedding": true,
        ])),
    ModelCase(
      "TNL, six heads, learned positions everywhere",
      tnl(
        heads: 6,
        changing: ["hidden_dim": 12, "linear_use_lrpe_list": [1, 1], "glu_dim": -1])),
    ModelCase("TNL, norms after the layers", tnl(heads: 2, changing: ["norm_placement": "post"])),
    ModelCase(
      "TNL, norms after the layers of the first of two blocks",
      tnl(
        heads: 4,
        changing: ["norm_placement": "mix", "norm_share": 0.5])),
    ModelCase("TNL, one layer", tnl(heads: 2, changing: ["decoder_layers": 1, "bias": true])),
  ]

  /// Small models of the other families, for what needs no reference.
  static let families = [
    flash("rebased", ["num_key_value_heads": 2, "feature_dim": 5]),
    flash("linear_attn", ["feature_map": "hedgehog", "norm_feature_map": true, "num_kv_heads": 1]),
    flash("retnet", ["expand_v": 2]), flash("gla", ["use_short_conv": true, "num_kv_heads": 1]),
    flash("delta_net", ["use_gate": true]), flash("gated_deltanet", ["head_dim": 6]),
    flash("kda", ["head_dim": 6, "num_v_heads": 4]),
    flash("comba", ["head_dim": 6, "num_v_heads": 4]),
    flash(
      "gated_deltaproduct", ["head_dim": 6, "num_householder": 3, "use_forget_gate": true]),
    flash("transformer", ["tie_word_embeddings": true]), flash("hgrn2", ["expand_ratio": 8]),
    flash("regla", ["num_kv_heads": 1]), flash("gateloop", [:]),
    flash("gsa", ["num_slots": 5]),
    flash("cosformer", ["num_kv_heads": 1]),
    flash("forgetting_transformer", ["num_kv_heads": 1, "qk_norm": true, "use_output_gate": true]),
    flash("xlstm", ["qk_dim_factor": 1]),
    flash("mamba2", ["head_dim": 16, "n_groups": 2, "state_size": 5]),
    flash("hgrn", ["use_short_conv": true]),
    flash("lightnet", ["expand_ratio": 8, "gate_low_rank_dim": 5]),
    flash("mamba", ["state_size": 3]),
    flash("samba", ["state_size": 4, "attn": ["layers": [1], "num_heads": 2, "window_size": 9]]),
    flash(
      "rwkv6", ["hidden_act": "sqrelu", "proj_low_rank_dim": 3, "gate_low_rank_dim": 5]),
    flash(
      "rwkv7",
      [
        "hidden_act": "sqrelu", "head_dim": 8, "decay_low_rank_dim": 3, "a_low_rank_dim": 2,
        "gate_low_rank_dim": 5, "v_low_rank_dim": 4,
      ]),
    flash("gla", ["attn": ["layers": [0], "num_heads": 2, "window_size": 9]]),
    flash(
      "mamba2",
      [
        "head_dim": 16, "state_size": 5,
        "attn": ["layers": [1], "num_heads": 2, "window_size": 9],
      ]),
    flash("xlstm", ["attn": ["layers": [0], "num_heads": 2]]),
    flash(
      "llama",
      [
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4, "attention_bias": true,
      ]),
    flash("mistral", ["num_attention_heads": 2, "sliding_window": 9]),
    flash(
      "qwen2",
      [
        "num_attention_heads": 2, "use_sliding_window": true, "sliding_window": 9,
        "max_window_layers": 1,
      ]),
    flash("qwen3", ["num_attention_heads": 2, "head_dim": 6, "tie_word_embeddings": true]),
    flash(
      "minimax",
      [
        "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 3,
        "mlp_alpha_factor": 0.7,
      ]),
    flash(
      "bamba",
      [
        "num_attention_heads": 2, "num_key_value_heads": 1, "attn_layer_indices": [1],
        "mamba_n_heads": 4, "mamba_n_groups": 2, "mamba_d_state": 5,
      ]),
    flash(
      "granitemoehybrid",
      [
        "num_attention_heads": 2, "layer_types": ["mamba", "attention"], "mamba_n_heads": 2,
        "mamba_d_state": 5, "num_local_experts": 3, "shared_intermediate_size": 12,
        "residual_multiplier": 0.6, "logits_scaling": 0.5,
      ]),
    flash(
      "qwen3_next",
      [
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_experts": 3,
        "num_experts_per_tok": 2, "moe_intermediate_size": 9, "shared_expert_intermediate_size": 7,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 4,
        "linear_value_head_dim": 5, "layer_types": ["linear_attention", "full_attention"],
      ]),
    flash(
      "kimi_linear",
      [
        "num_attention_heads": 2, "num_key_value_heads": 2, "kv_lora_rank": 6,
        "qk_nope_head_dim": 4, "qk_rope_head_dim": 3, "v_head_dim": 5, "num_experts": 4,
        "num_experts_per_token": 2, "moe_intermediate_size": 9, "linear_num_heads": 2,
        "linear_head_dim": 5, "layer_types": ["linear_attention", "full_attention"],
      ]),
  ]

  private static func flash(_ type: String, _ keys: [String: JSONValue]) -> ModelCase {
    let plain: [String: JSONValue] = [
      "model_type": .string(type), "vocab_size": 19, "hidden_size": 16, "num_hidden_layers": 2,
      "num_heads": 2, "intermediate_size": 20, "initializer_range": 0.25,
    ]
    let name = keys["attn"] == nil ? type : type + " with attention"
    return ModelCase(name, .object(plain.merging(keys) { $1 }))
  }

  private static func tnl(heads: Int, changing keys: [String: JSONValue]) -> JSONValue {
    let plain: [String: JSONValue] = [
      "model_type": "transnormer", "vocab_size": 19, "decoder_embed_dim": 16, "hidden_dim": 16,
      "decoder_layers": 2, "decoder_attention_heads": .integer(heads), "glu_dim": 20,
      "linear_use_lrpe_list": [], "no_scale_embedding": false, "bias": false, "init_std": 0.25,
    ]
    return .object(plain.merging(keys) { $1 })
  }

  /// The case with other values of some keys.
  func changing(_ keys: [String: JSONValue]) -> ModelCase {
    ModelCase(
      testDescription, .object((configuration.object ?? [:]).merging(keys) { $1 }),
      folder: folder, logits: logits)
  }

  /// The program's model.
  func model() throws -> LanguageModel {
    LanguageModel(try Architectures.read(configuration).architecture)
  }

  /// All weights in the table's order: the folder's, or initial ones, with what begins as a constant made
  /// uneven.
  func weights(_ model: LanguageModel) throws -> [Float] {
    if let folder {
      let store = WholeParameters(table: model.table, gradients: false, pool: BufferPool())
      try ModelFolder(path: folder).read(into: store)
      return Array(UnsafeBufferPointer(start: store.values.pointer, count: model.table.count))
    }
    var weights = [Float](repeating: 0, count: model.table.count)
    weights.withUnsafeMutableBufferPointer {
      model.table.initialize(0..<model.table.count, seed: 5, into: $0.baseAddress!)
    }
    var draws = Draws(seed: 6)
    for entry in model.table.entries where entry.role == .bias || entry.role == .norm {
      for index in entry.range { weights[index] += 0.2 * draws.normals(1)[0] }
    }
    return weights
  }

  /// The reference's logits of one sequence, of the same weights by their names in files.
  func reference(_ weights: [String: Term]) -> (_ tokens: [Int32]) -> Term {
    { logits($0, weights) }
  }
}

extension LanguageModel {
  /// The tensors of a weight file, cut out of numbers in the table's order.
  func fileTensors(_ numbers: [Float]) -> [String: Matrix] {
    Dictionary(
      uniqueKeysWithValues: tensors.map { tensor in
        let parts = tensor.pieces.flatMap { piece in
          let first = table[piece.parameter].range.lowerBound
          return numbers[
            first + piece.elements.lowerBound..<first + piece.elements.upperBound]
        }
        return (tensor.name, Matrix(tensor.shape.rows, tensor.shape.columns, parts))
      })
  }
}
