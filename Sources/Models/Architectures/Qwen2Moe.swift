import Configuration

/// Qwen2-MoE: experts beside a gated mixer for all tokens; biases of queries, keys and values.
///
/// - Source: arXiv 2407.10671; the layout of Hugging Face's transformers.
enum Qwen2Moe: PretrainedFamily {
  static let name = "qwen2_moe"
  static let className = "Qwen2Moe"
  static let card = ModelCard(
    "Qwen2-MoE", recurrence: "softmax attention", papers: ["2407.10671"])
  static let defaults = LlamaSkeleton.Defaults(
    dimension: 2048, channelWidth: 5632, depth: 24, vocabulary: 151_936, length: 32768,
    heads: 16, keyValueHeads: 16)
  static let biases = AttentionBiases.named
  static let windows = LayerWindows.Rule.alternate
  static let experts: ExpertLayout? = .qwen2

  /// The run file's `model.qwen2_moe` section.
  struct Keys: PretrainedKeys {
    static let name = "model.qwen2_moe"
    static let documentation = "What only Qwen2-MoE has."

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key(
      "max_window_layers", .model, from: 0,
      "Blocks without a window, from the bottom; those above see model.window tokens.")
    var firstInWindow = 0

    init() {}
  }
}
