import Configuration

/// Mistral: a window in every layer, no biases.
///
/// - Source: arXiv 2310.06825; the layout of Hugging Face's transformers.
enum Mistral: PretrainedFamily {
  static let name = "mistral"
  static let className = "Mistral"
  static let card = ModelCard(
    "Mistral", recurrence: "softmax attention", papers: ["2310.06825"])
  static let defaults = LlamaSkeleton.Defaults(channelWidth: 14336, length: 131_072)
  static let biases = AttentionBiases.none
  static let windows = LayerWindows.Rule.all

  /// The run file's `model.mistral` section.
  struct Keys: PretrainedKeys {
    static let name = "model.mistral"
    static let documentation = "What only Mistral has."

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    init() {}
  }
}
