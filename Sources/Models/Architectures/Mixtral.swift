import Configuration

/// Mixtral: experts in every layer, no biases.
///
/// - Source: arXiv 2401.04088; the layout of Hugging Face's transformers.
enum Mixtral: PretrainedFamily {
  static let name = "mixtral"
  static let className = "Mixtral"
  static let card = ModelCard(
    "Mixtral", recurrence: "softmax attention", papers: ["2401.04088"])
  static let defaults = LlamaSkeleton.Defaults(
    channelWidth: 14336, length: 131_072, epsilon: 1e-5, rotaryBase: 1_000_000, keyValueHeads: 8)
  static let biases = AttentionBiases.none
  static let windows = LayerWindows.Rule.any
  static let experts: ExpertLayout? = .mixtral

  /// The run file's `model.mixtral` section.
  struct Keys: PretrainedKeys {
    static let name = "model.mixtral"
    static let documentation = "What only Mixtral has."

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 1_000_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    init() {}
  }
}
