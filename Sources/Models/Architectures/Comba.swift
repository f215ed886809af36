import Configuration
import Kernels

/// Comba: the delta rule against the state before its decay, with a decay per head from data.
///
/// - Source: arXiv 2506.02475; flash-linear-attention's layout.
struct Comba: FlashMixer {
  typealias Layer = CombaMixer

  static let name = "comba"
  static let className = "Comba"
  static let card = ModelCard(
    "Comba", recurrence: "low-rank transition, scalar decay", papers: ["2506.02475"])
  static let depth = 21
  static let keys: Set<String> = ["expand_k", "expand_v"]
  static let ignoredKeys: Set<String> = [
    "use_inner_decay", "use_output_correction", "correction_factor", "allow_neg_eigval",
  ]

  let shape: DeltaHeads
  let isGated: Bool
  let taps: Int?

  init(_ section: ModelSection) {
    shape = DeltaHeads(section, expandKey: 0.75, expandValue: 2)
    isGated = true
    taps = 4
  }

  init(_ keys: ModelKeys, dimension: Int) {
    shape = DeltaHeads(keys, headDimension: 256, heads: 6, expandValue: 2)
    isGated = keys.boolean("use_output_gate", default: true)
    taps = keys.convolutionTaps(default: true)
  }

  var configuration: [String: JSONValue] {
    shape.configuration.merging([
      "use_output_gate": .bool(isGated), "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4),
    ]) { $1 }
  }

  var problem: String? { shape.problem }
}
