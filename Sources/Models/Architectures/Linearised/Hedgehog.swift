import Configuration

/// Hedgehog: linear attention over learned features that mimic the weights of softmax, divided by their sum.
///
/// - Source: arXiv 2402.04347.
struct Hedgehog: LinearisedMethod {
  static let name = "hedgehog"
  static let card = ModelCard(
    "Hedgehog", recurrence: "no decay, normalised", papers: ["2402.04347"])

  /// The run file's `model.hedgehog` section.
  struct Keys: LinearisedKeys {
    static let name = "model.hedgehog"
    static let documentation = "What only Hedgehog has."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("feature_map", .model, "What queries and keys go through.")
    var featureMap = FeatureMapName.softmax_dim

    @Key(
      "feature_dim", .model, from: 1, "Numbers that features are made of; null = numbers of a head."
    )
    var featureDimension: Int?

    @Key("feature_map_bias", .model, "Whether feature maps have a bias, a number a head.")
    var hasBias = false

    @Key("feature_map_skip_connection", .model, "Whether a map's projection is added to its input.")
    var skips = false

    @Key("feature_map_zero_init", .model, "Whether maps begin as the identity.")
    var beginsAsIdentity = true

    init() {}
  }

  let features: FeatureProjectionSettings

  init(_ keys: Keys, heads: HeadSplit) {
    features = FeatureProjectionSettings(
      features: keys.featureMap.features, width: keys.featureDimension, hasBias: keys.hasBias,
      skips: keys.skips, beginsAsIdentity: keys.beginsAsIdentity)
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    features = FeatureProjectionSettings(keys, default: .softmax_dim)
  }

  var configuration: [String: JSONValue] { features.configuration }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    features.problem(heads, method: Self.name)
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    NormalisedLinearAttention(features, window: nil, heads: heads, at: place, &builder)
  }
}

/// T2R: linear attention over rectified features, divided by their sum.
///
/// - Source: arXiv 2103.13076.
struct T2R: LinearisedMethod {
  static let name = "t2r"
  static let card = ModelCard("T2R", recurrence: "no decay, normalised", papers: ["2103.13076"])

  /// The run file's `model.t2r` section.
  struct Keys: LinearisedKeys {
    static let name = "model.t2r"
    static let documentation = "What only T2R has."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("feature_dim", .model, from: 1, "Features of a head; null = numbers of a head.")
    var featureDimension: Int?

    @Key("feature_map_bias", .model, "Whether feature maps have a bias, a number a head.")
    var hasBias = true

    init() {}
  }

  let features: FeatureProjectionSettings

  init(_ keys: Keys, heads: HeadSplit) {
    features = FeatureProjectionSettings(
      features: .relu, width: keys.featureDimension, hasBias: keys.hasBias)
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    features = FeatureProjectionSettings(keys, default: .relu, bias: true)
  }

  var configuration: [String: JSONValue] { features.configuration }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    features.problem(heads, method: Self.name)
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    NormalisedLinearAttention(features, window: nil, heads: heads, at: place, &builder)
  }
}
