import Configuration

/// Qwen3: norms of each head's queries and keys; windows in the upper layers where asked for.
///
/// - Source: arXiv 2505.09388; the layout of Hugging Face's transformers.
enum Qwen3: PretrainedFamily {
  static let name = "qwen3"
  static let className = "Qwen3"
  static let card = ModelCard(
    "Qwen3", recurrence: "softmax attention", papers: ["2505.09388"])
  static let defaults = LlamaSkeleton.Defaults(
    channelWidth: 22016, vocabulary: 151_936, length: 32768)
  static let headDimension: Int? = 128
  static let biases = AttentionBiases.asked
  static let normalizesKeys = true
  static let windows = LayerWindows.Rule.upper

  /// The run file's `model.qwen3` section.
  struct Keys: PretrainedKeys {
    static let name = "model.qwen3"
    static let documentation = "What only Qwen3 has."

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

    @Key(
      "max_window_layers", .model, from: 0,
      "Blocks without a window, from the bottom; those above see model.window tokens.")
    var firstInWindow = 0

    init() {}
  }
}
