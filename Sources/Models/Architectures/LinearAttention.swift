import Configuration
import Kernels

/// Linear attention: features of queries and keys instead of softmax's exponential, without decay.
///
/// In run files `linear_attn`; as `none` it is the baseline without gates that norms its output instead of dividing by
/// a normaliser.
///
/// - Source: arXiv 2006.16236, and NormAttention in 2210.10340; flash-linear-attention's layout.
struct LinearAttention: FlashMixer {
  typealias Layer = LinearAttentionMixer

  static let name = "linear_attn"
  /// Its name in run files where it is the baseline without gates.
  private static let baseline = "none"
  static let names = [name, baseline]
  static let className = "LinearAttention"
  static let card = ModelCard(
    "Linear attention", recurrence: "no decay",
    papers: ["2006.16236", "2102.11174", "2103.13076", "2402.04347", "2210.10340"])
  static let keys: Set<String> = ["kv_heads", "expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.linear_attn` section.
  struct Keys: ConfigurationSection {
    static let name = "model.linear_attn"
    static let documentation = "What only linear attention has, and none."

    @Key(
      "feature_map", .model,
      "What a head's queries and keys go through; unless it is given, none has elu.")
    var featureMap = HeadFeatures.elementwise_product

    @Key("tie_feature_map_qk", .model, "Whether queries and keys go through one feature map.")
    var tiesFeatureMap = false

    @Key("norm_q", .model, "Whether a query's features are divided by their sum.")
    var normsQueries = false

    @Key("norm_k", .model, "Whether a key's features are divided by their sum.")
    var normsKeys = false

    @Key(
      "norm_feature_map", .model,
      "Whether outputs are divided by the sum of their weights; none: no.")
    var normalizes = false

    init() {}
  }

  let expandKey, expandValue: Double
  let keyValueHeads: Int?
  let heads: HeadSplit
  let features: HeadFeatures
  let tiesFeatureMap, normsQueries, normsKeys: Bool
  /// Whether outputs are divided by the sum of their weights.
  let normalizes: Bool
  /// Both names in one model, or the normaliser that the baseline does without; nil where all is well.
  private let contradiction: String?

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 1
    expandValue = section.expandValue ?? 1
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: keyValueHeads)
    let keys = section.subsections[Keys.self]
    let mixers = Set(section.mixerOfLayer)
    let isBaseline = mixers.contains(Self.baseline)
    features =
      isBaseline && keys.changes["feature_map"] == nil ? .elu : keys.featureMap
    (tiesFeatureMap, normsQueries) = (keys.tiesFeatureMap, keys.normsQueries)
    (normsKeys, normalizes) = (keys.normsKeys, keys.normalizes)
    if isBaseline, mixers.contains(Self.name) {
      contradiction = "linear_attn and none are one mixer with two settings; choose one of them"
    } else if isBaseline, keys.normalizes {
      contradiction =
        "none has no normaliser; with model.linear_attn.norm_feature_map choose the mixer linear_attn"
    } else {
      contradiction = nil
    }
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 1)
    expandValue = keys.ratio("expand_v", default: 1)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: keyValueHeads)
    features = keys.choice(
      "feature_map", default: HeadFeatures.elementwise_product.rawValue,
      of: HeadFeatures.allCases.map { ($0.rawValue, $0) })
    tiesFeatureMap = keys.boolean("tie_feature_map_qk", default: false)
    normsQueries = keys.boolean("norm_q", default: false)
    normsKeys = keys.boolean("norm_k", default: false)
    normalizes = keys.boolean("norm_feature_map", default: false)
    contradiction = nil
  }

  /// Channels of a head's features, K of the state.
  var featureCount: Int { features.count(heads.keyDimension) }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
      "feature_map": .string(features.rawValue), "tie_feature_map_qk": .bool(tiesFeatureMap),
      "norm_q": .bool(normsQueries), "norm_k": .bool(normsKeys),
      "norm_feature_map": .bool(normalizes),
    ]
  }

  var problem: String? {
    if let problem = contradiction ?? heads.problem { return problem }
    let most = DiagonalRecurrence.mostKeys
    if featureCount > most {
      return
        "\(features.rawValue) makes \(featureCount) features of a head's \(heads.keyDimension) "
        + "numbers, and \(most) is the most; use more heads"
    }
    return nil
  }
}
