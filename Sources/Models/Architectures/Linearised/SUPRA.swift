import Configuration
import Kernels

/// SUPRA: linear attention with fixed decays over rectified features of all heads together, and a norm of each head.
///
/// - Source: arXiv 2405.06640, and its code.
struct SUPRA: LinearisedMethod {
  static let name = "supra"
  static let card = ModelCard("SUPRA", recurrence: "fixed decay", papers: ["2405.06640"])

  /// How much of a state stays from token to token, as run files and `config.json` name it.
  enum DecayName: String, KeyChoice {
    case slopes, retnet, none

    var decay: JointFeatureAttention.Decay {
      switch self {
      case .slopes: .slopes
      case .retnet: .retnet
      case .none: .none
      }
    }
  }

  /// The run file's `model.supra` section.
  struct Keys: LinearisedKeys {
    static let name = "model.supra"
    static let documentation = "What only SUPRA has."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("feature_dim", .model, from: 2, "Features of a head; null = numbers of a head.")
    var featureDimension: Int?

    @Key("decay", .model, "Decays of heads: TransNormerLLM's slopes, RetNet's, or none.")
    var decay = DecayName.slopes

    @Key(
      "qk_norm", .model, "Whether features of queries and keys are normalised, all heads together.")
    var hasNorms = false

    init() {}
  }

  /// Features of a head.
  let features: Int
  let decay: DecayName
  /// Whether they are normalised.
  let hasNorms: Bool

  init(_ keys: Keys, heads: HeadSplit) {
    (features, decay) = (keys.featureDimension ?? heads.keyDimension, keys.decay)
    hasNorms = keys.hasNorms
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    features = keys.optionalPositive("feature_dim") ?? heads.keyDimension
    decay = keys.choice(
      "decay", default: DecayName.slopes.rawValue,
      of: DecayName.allCases.map { ($0.rawValue, $0) })
    hasNorms = keys.boolean("qk_norm", default: false)
  }

  var configuration: [String: JSONValue] {
    [
      "feature_dim": .integer(features), "decay": .string(decay.rawValue),
      "qk_norm": .bool(hasNorms),
    ]
  }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    let most = DiagonalRecurrence.mostKeys
    if let problem = heads.tooWide { return ("num_attention_heads", problem) }
    if features % 2 != 0 {
      return (
        "feature_dim",
        "\(features) features of a head cannot be rotated by halves; choose an even number"
      )
    }
    return features > most
      ? ("feature_dim", "\(features) features of a head, and \(most) is the most") : nil
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    JointFeatureAttention(
      features: features, decay: decay.decay, hasNorms: hasNorms, settings: settings, heads: heads,
      at: place, &builder)
  }
}
