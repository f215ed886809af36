import Configuration
import Kernels

/// RetNet: linear attention with a fixed decay per head and rotary positions.
///
/// - Source: arXiv 2307.08621; flash-linear-attention's layout.
struct RetNet: FlashMixer {
  typealias Layer = RetNetMixer

  static let name = "retnet"
  static let className = "RetNet"
  static let card = ModelCard(
    "RetNet", recurrence: "fixed decay", papers: ["2307.08621"])
  static let hiddenRatio = 2.0
  static let ignoredKeys: Set<String> = ["use_short_conv", "conv_size"]
  static let keys: Set<String> = ["kv_heads", "expand_k", "expand_v"]

  let expandKey, expandValue: Double
  let keyValueHeads: Int?
  let heads: HeadSplit
  let featureMap: Activation
  let isGated, fusesNorm: Bool

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 1
    expandValue = section.expandValue ?? 2
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: keyValueHeads, isRotated: true)
    featureMap = .identity
    (isGated, fusesNorm) = (true, true)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 1)
    expandValue = keys.ratio("expand_v", default: 2)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 8), keyHeads: keyValueHeads, isRotated: true)
    featureMap = keys.featureMap()
    isGated = keys.boolean("use_output_gate", default: true)
    fusesNorm = keys.boolean("fuse_norm", default: true)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
      "feature_map": .featureMap(featureMap), "use_output_gate": .bool(isGated),
      "fuse_norm": .bool(fusesNorm),
    ]
  }

  var problem: String? { heads.problem }
}
