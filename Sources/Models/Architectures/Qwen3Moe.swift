import Configuration

/// Qwen3-MoE: experts; norms of each head's queries and keys.
///
/// - Source: arXiv 2505.09388; the layout of Hugging Face's transformers.
enum Qwen3Moe: PretrainedFamily {
  static let name = "qwen3_moe"
  static let className = "Qwen3Moe"
  static let card = ModelCard(
    "Qwen3-MoE", recurrence: "softmax attention", papers: ["2505.09388"])
  static let defaults = LlamaSkeleton.Defaults(
    dimension: 2048, channelWidth: 6144, depth: 24, vocabulary: 151_936, length: 32768,
    keyValueHeads: 4)
  static let biases = AttentionBiases.asked
  static let normalizesKeys = true
  static let windows = LayerWindows.Rule.asked
  static let experts: ExpertLayout? = .qwen3

  /// The run file's `model.qwen3_moe` section.
  struct Keys: PretrainedKeys {
    static let name = "model.qwen3_moe"
    static let documentation = "What only Qwen3-MoE has."

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key(
      "attention_bias", .model,
      "Whether the projections of queries, keys, values and outputs have biases.")
    var attentionBias = false

    init() {}
  }
}
