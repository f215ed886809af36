import Configuration
import Kernels

/// GateLoop: a linear recurrence whose decays are complex numbers from data.
///
/// No other project has files of it. Its folders are in flash-linear-attention's layout: per layer, under `attn.`,
/// `q_proj.weight [K, D]`, `k_proj.weight [K, D]`, `v_proj.weight [V, D]`, of the decays the magnitude's `a_proj` and the
/// angle's `b_proj`, each `{weight [K, D], bias [K]}`, `g_proj.weight [V, D]`, `g_norm.weight [V/H]` and
/// `o_proj.weight [D, V]`.
///
/// - Source: arXiv 2311.01927.
struct GateLoop: FlashMixer {
  typealias Layer = GateLoopMixer

  static let name = "gateloop"
  static let className = "GateLoop"
  static let card = ModelCard(
    "GateLoop", recurrence: "vector decay with angles", papers: ["2311.01927"])
  static let keys: Set<String> = ["expand_k", "expand_v"]

  let expandKey, expandValue: Double
  let heads: HeadSplit

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 0.5
    expandValue = section.expandValue ?? 1
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: nil,
      mostKeys: DiagonalRecurrence.mostKeys / 2)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 0.5)
    expandValue = keys.ratio("expand_v", default: 1)
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: nil,
      mostKeys: DiagonalRecurrence.mostKeys / 2)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads),
    ]
  }

  var problem: String? { heads.problem }
}
