import Configuration
import Kernels

/// Gated Linear Attention (GLA): a decay from data for every key channel.
///
/// - Source: arXiv 2312.06635; flash-linear-attention's layout.
struct GatedLinearAttention: FlashMixer {
  typealias Layer = GLAMixer

  static let name = "gla"
  static let className = "GLA"
  static let card = ModelCard(
    "Gated Linear Attention", recurrence: "vector decay", papers: ["2312.06635"])
  static let ignoredKeys: Set<String> = ["gate_logit_normalizer", "gate_low_rank_dim"]
  static let keys: Set<String> = ["kv_heads", "expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.gla` section.
  struct Keys: ConfigurationSection {
    static let name = "model.gla"
    static let documentation = "What only GLA has."

    @Key("feature_map", .model, "What queries and keys go through.")
    var featureMap = FeatureMap.identity

    @Key("clamp_min", .model, through: 0, "Least log decay of a token; null = none.")
    var least: Double?

    init() {}
  }

  let expandKey, expandValue: Double
  let keyValueHeads: Int?
  let heads: HeadSplit
  let featureMap: Activation
  let taps: Int?
  let isGated, fusesNorm: Bool
  /// The least log decay, or nil.
  let least: Double?

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 0.5
    expandValue = section.expandValue ?? 1
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: keyValueHeads)
    let keys = section.subsections[Keys.self]
    featureMap = keys.featureMap.activation
    taps = nil
    (isGated, fusesNorm) = (true, true)
    least = keys.least
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 0.5)
    expandValue = keys.ratio("expand_v", default: 1)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: keyValueHeads)
    featureMap = keys.featureMap()
    taps = keys.convolutionTaps(default: false)
    isGated = keys.boolean("use_output_gate", default: true)
    fusesNorm = keys.boolean("fuse_norm", default: true)
    least = keys.optionalNumber("clamp_min")
    if let least, least > 0 {
      keys.refuse("clamp_min", "\(least) is above 0, where no log decay is")
    }
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
      "feature_map": .featureMap(featureMap), "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4), "use_output_gate": .bool(isGated),
      "fuse_norm": .bool(fusesNorm), "clamp_min": .optional(least),
    ]
  }

  var problem: String? { heads.problem }
}
