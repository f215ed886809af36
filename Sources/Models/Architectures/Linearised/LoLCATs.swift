import Configuration
import Kernels
import SequenceParallel

/// LoLCATs: attention in a window and linear attention over learned features to the rest, over one denominator.
///
/// - Source: arXiv 2410.10254.
struct LoLCATs: LinearisedMethod {
  static let name = "lolcats"
  static let card = ModelCard(
    "LoLCATs", recurrence: "no decay, and attention in a window", papers: ["2410.10254"])

  /// How the window goes on, as run files and `config.json` name it.
  enum WindowKind: String, KeyChoice {
    /// A query sees the last tokens.
    case sliding
    /// It sees its own terrace and the one before.
    case terraced

    func span(_ width: Int) -> AttentionSpan {
      switch self {
      case .sliding: .sliding(width)
      case .terraced: .terraced(width)
      }
    }
  }

  /// The run file's `model.lolcats` section.
  struct Keys: LinearisedKeys {
    static let name = "model.lolcats"
    static let documentation = "What only LoLCATs has."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("window", .model, from: 1, unit: "tokens", "Tokens of the window, or of a terrace.")
    var window = 64

    @Key("window_kind", .model, "Whether the window slides, or goes on in terraces (their wtk).")
    var kind = WindowKind.sliding

    @Key("feature_map", .model, "What queries and keys of the linear part go through.")
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
    var beginsAsIdentity = false

    @Key(
      "affine_attention_factors", .model,
      "Whether the linear part is weighed by one less the window's factor, instead of 1.")
    var isAffine = false

    init() {}
  }

  let window: Int
  let kind: WindowKind
  let features: FeatureProjectionSettings
  let isAffine: Bool

  init(_ keys: Keys, heads: HeadSplit) {
    (window, kind, isAffine) = (keys.window, keys.kind, keys.isAffine)
    features = FeatureProjectionSettings(
      features: keys.featureMap.features, width: keys.featureDimension, hasBias: keys.hasBias,
      skips: keys.skips, beginsAsIdentity: keys.beginsAsIdentity)
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    window = keys.positive("attention_window", default: 64)
    kind = keys.choice(
      "attention_window_kind", default: WindowKind.sliding.rawValue,
      of: WindowKind.allCases.map { ($0.rawValue, $0) })
    features = FeatureProjectionSettings(keys, default: .softmax_dim)
    isAffine = keys.boolean("affine_attention_factors", default: false)
  }

  var configuration: [String: JSONValue] {
    features.configuration.merging([
      "attention_window": .integer(window), "attention_window_kind": .string(kind.rawValue),
      "affine_attention_factors": .bool(isAffine),
    ]) { $1 }
  }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    features.problem(heads, method: Self.name)
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    NormalisedLinearAttention(
      features, window: (kind.span(window), isAffine), heads: heads, at: place, &builder)
  }
}
