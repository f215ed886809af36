import Configuration

/// What is done with keys of a `config.json` that no architecture here reads.
///
/// Most say nothing about the mathematics, or have a value with which it is what this program computes. Some change
/// it: a model that has one of these with another value is refused, since its logits would be others in silence.
struct ForeignKeys {
  /// Names of the keys, sorted, that this program knows nothing about.
  private(set) var unknown: [String] = []
  /// Keys that change what the model computes.
  private(set) var problems: [ModelError] = []

  /// Goes through the keys that are not among those that were read.
  init(in json: JSONValue, read: Set<String>) { add(json, prefix: "", read: read) }

  private mutating func add(_ json: JSONValue, prefix: String, read: Set<String>) {
    for (key, value) in (json.object ?? [:]).sorted(by: { $0.key < $1.key }) {
      let name = prefix + key
      if value.object != nil, read.contains(where: { $0.hasPrefix(name + ".") }) {
        add(value, prefix: name + ".", read: read)
        continue
      }
      guard !read.contains(name), !Self.harmless.contains(key), value != .null else { continue }
      if let neutral = Self.neutral[key] {
        if neutral.contains(where: { $0.isSame(as: value) }) || Self.isDefaultRotation(key, value) {
          continue
        }
        problems.append(
          .impossible(
            key: name,
            reason: "\(value.shortText) changes what the model computes, and is not computed here"
              + (neutral.isEmpty
                ? "" : ", only " + neutral.map(\.text).joined(separator: " or "))))
      } else if value != .bool(false) {
        unknown.append(name)
      }
    }
  }

  /// `rope_scaling` or `rope_parameters` that scale nothing.
  private static func isDefaultRotation(_ key: String, _ value: JSONValue) -> Bool {
    guard ["rope_scaling", "rope_parameters"].contains(key) else { return false }
    return (value["rope_type"] ?? value["type"]) == "default"
      && value.object?.keys.allSatisfy { ["rope_type", "type", "rope_theta"].contains($0) } == true
      && (value["rope_theta"]?.number ?? 10_000) == 10_000
  }

  /// Keys that change the mathematics, each with the values that are what is computed here.
  private static let neutral: [String: [JSONValue]] = [
    "attnres_block_size": [0], "rope_scaling": [], "rope_parameters": [],
    "quantization_config": [], "compression_config": [],
    "attention_bias": [false], "mlp_bias": [false], "conv_bias": [false], "norm_bias": [false],
    "use_bias": [false], "bias": [false], "qkv_bias": [false], "lm_head_bias": [false],
    "elementwise_affine": [true], "use_rope": [true], "use_rotary": [true],
    "partial_rotary_factor": [1], "no_rope_layers": [[]], "sliding_window": [],
    "use_sliding_window": [false], "layer_types": [],
    "logit_scale": [1], "logits_scaling": [1], "residual_multiplier": [1],
    "embedding_multiplier": [1], "attention_multiplier": [1], "scale_emb": [1],
    "final_logit_softcapping": [0], "attn_logit_softcapping": [0], "logits_soft_cap": [0],
    "gate_logit_normalizer": [16], "gate_low_rank_dim": [16], "gate_fn": ["swish", "silu"],
    "use_gk": [true], "use_gv": [false], "use_short_conv": [false], "qk_norm": [false],
    "use_qk_norm": [false], "use_qk_l2norm": [false], "norm_first": [true], "glu_act": ["none"],
    "tie_word_embeddings": [false], "feature_map": ["identity"],
    "activation_function": ["swish", "silu"], "hidden_activation": ["swish", "silu"],
    "alibi": [false], "use_alibi": [false], "causal": [true], "is_causal": [true],
    "use_parallel_residual": [false], "parallel_attn": [false], "rotary_interleaved": [false],
    "use_output_norm": [true],
    "num_experts": [0, 1], "num_local_experts": [0, 1], "n_routed_experts": [0, 1],
    "moe_intermediate_size": [], "num_nextn_predict_layers": [0],
  ]

  /// Keys that say nothing about the mathematics of an evaluation or of training.
  private static let harmless: Set<String> = [
    "_name_or_path", "_commit_hash", "activation_dropout", "attn_pdrop", "_attn_implementation",
    "add_bos_token", "add_cross_attention",
    "add_eos_token", "architectures", "attention_dropout", "attn_implementation", "attn_mode",
    "auto_map", "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "chunk_size",
    "chunk_size_feed_forward", "classifier_dropout", "cross_attention_hidden_size",
    "decoder_start_token_id", "diversity_penalty", "do_sample", "dropout", "dtype",
    "early_stopping", "embd_pdrop", "emb_dropout", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "fuse_cross_entropy", "fuse_linear_cross_entropy", "fuse_norm",
    "fuse_swiglu", "gradient_checkpointing", "hidden_dropout", "id2label", "is_decoder",
    "is_encoder_decoder", "keys_to_ignore_at_inference", "label2id", "length_penalty",
    "max_length", "max_position_embeddings", "min_length", "model_type", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_scores", "pad_token_id", "prefix", "pretraining_tp",
    "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty", "resid_pdrop",
    "residual_in_fp32", "return_dict", "return_dict_in_generate", "sep_token_id",
    "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
    "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
    "transformers_version", "typical_p", "unk_token_id", "use_bfloat16", "use_cache",
    "use_l2warp", "use_triton",
  ]
}

extension JSONValue {
  /// Whether two values mean the same: numbers by value, 0 and 1 also as `false` and `true`.
  fileprivate func isSame(as other: JSONValue) -> Bool {
    if self == other { return true }
    func number(_ value: JSONValue) -> Double? {
      if case .bool(let flag) = value { flag ? 1 : 0 } else { value.number }
    }
    guard let one = number(self), let two = number(other) else { return false }
    return one == two
  }
}
