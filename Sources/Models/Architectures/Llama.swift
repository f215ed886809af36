import Configuration

/// Llama: biases where its keys say so.
///
/// - Source: arXiv 2302.13971, 2407.21783; the layout of Hugging Face's transformers.
enum Llama: PretrainedFamily {
  static let name = "llama"
  static let className = "Llama"
  static let card = ModelCard(
    "Llama", recurrence: "softmax attention", papers: ["2302.13971"])
  static let defaults = LlamaSkeleton.Defaults()
  static let biases = AttentionBiases.asked
  static let readsChannelBias = true
  static let windows = LayerWindows.Rule.none

  /// The run file's `model.llama` section.
  struct Keys: PretrainedKeys {
    static let name = "model.llama"
    static let documentation = "What only Llama has."

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

    @Key("mlp_bias", .model, "Whether the projections of the channel mixer have biases.")
    var channelBias = false

    init() {}
  }
}
