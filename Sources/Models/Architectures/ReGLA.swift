import Configuration

/// ReGLA: Gated Linear Attention with a normalised exponential feature map and a refined forget gate.
///
/// No other project has files of it. Its folders are in flash-linear-attention's layout: per layer, under `attn.`,
/// `q_proj.weight [K, D]`, `k_proj.weight [K/G, D]`, `v_proj.weight [V/G, D]`, the gate `f_proj` and what refines it,
/// `r_proj`, each `{weight [K/G, D], bias [K/G]}`, `g_norm.weight [V/H]` and `o_proj.weight [D, V]`, for
/// `G = num_heads / num_kv_heads`.
///
/// - Source: arXiv 2502.01578.
struct ReGLA: FlashMixer {
  typealias Layer = ReGLAMixer

  static let name = "regla"
  static let className = "ReGLA"
  static let card = ModelCard(
    "ReGLA", recurrence: "vector decay, refined gate", papers: ["2502.01578"])
  static let keys: Set<String> = ["kv_heads", "expand_k", "expand_v"]

  let expandKey, expandValue: Double
  let keyValueHeads: Int?
  let heads: HeadSplit

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 0.5
    expandValue = section.expandValue ?? 1
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: keyValueHeads)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 0.5)
    expandValue = keys.ratio("expand_v", default: 1)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: keyValueHeads)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
    ]
  }

  var problem: String? { heads.problem }
}
