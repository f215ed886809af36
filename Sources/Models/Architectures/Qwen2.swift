import Configuration

/// Qwen2: biases of queries, keys and values; windows in the upper layers where asked for.
///
/// - Source: arXiv 2407.10671; the layout of Hugging Face's transformers.
enum Qwen2: PretrainedFamily {
  static let name = "qwen2"
  static let className = "Qwen2"
  static let card = ModelCard(
    "Qwen2", recurrence: "softmax attention", papers: ["2407.10671"])
  static let defaults = LlamaSkeleton.Defaults(
    channelWidth: 22016, vocabulary: 151_936, length: 32768)
  static let biases = AttentionBiases.inputs
  static let windows = LayerWindows.Rule.upper

  /// The run file's `model.qwen2` section.
  struct Keys: PretrainedKeys {
    static let name = "model.qwen2"
    static let documentation = "What only Qwen2 has."

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
