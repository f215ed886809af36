import Configuration
import Kernels

/// Lizard: linear attention with a learned gate in place of positions, and attention in a window and to meta tokens.
///
/// - Source: arXiv 2507.09025, of which no code was published.
struct Lizard: LinearisedMethod {
  static let name = "lizard"
  static let card = ModelCard(
    "Lizard", recurrence: "scalar decay, normalised, and attention in a window",
    papers: ["2507.09025"])

  /// The run file's `model.lizard` section.
  struct Keys: LinearisedKeys {
    static let name = "model.lizard"
    static let documentation = "What only Lizard has."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("window", .model, from: 1, unit: "tokens", "Tokens of the window.")
    var window = 128

    @Key(
      "meta_tokens", .model, from: 0, through: 1024,
      "Learned keys and values that every query sees.")
    var metaTokens = 4

    @Key("feature_map", .model, "What queries and keys of the linear part go through.")
    var featureMap = FeatureMapName.exp_dim

    @Key(
      "feature_dim", .model, from: 1, "Numbers that features are made of; null = numbers of a head."
    )
    var featureDimension: Int?

    init() {}
  }

  let window, metaTokens: Int
  let features: FeatureProjectionSettings

  init(_ keys: Keys, heads: HeadSplit) {
    (window, metaTokens) = (keys.window, keys.metaTokens)
    features = FeatureProjectionSettings(
      features: keys.featureMap.features, width: keys.featureDimension)
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    window = keys.positive("attention_window", default: 128)
    metaTokens = keys.integer("meta_tokens", default: 4)
    if !(0...1024).contains(metaTokens) {
      keys.refuse("meta_tokens", "\(metaTokens) is not from 0 to 1024")
    }
    features = FeatureProjectionSettings(keys, default: .exp_dim)
  }

  var configuration: [String: JSONValue] {
    features.configuration.merging([
      "attention_window": .integer(window), "meta_tokens": .integer(metaTokens),
    ]) { $1 }
  }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    features.problem(heads, method: Self.name)
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    GatedFeatureAttention(
      features, window: window, metaTokens: metaTokens, heads: heads, at: place, &builder)
  }
}
