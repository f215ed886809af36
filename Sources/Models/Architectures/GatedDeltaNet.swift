import Configuration
import Kernels

/// Gated DeltaNet: the delta rule with a decay per head from data.
///
/// - Source: arXiv 2412.06464; flash-linear-attention's layout.
struct GatedDeltaNet: FlashMixer {
  typealias Layer = GatedDeltaNetMixer

  static let name = "gated_deltanet"
  static let className = "GatedDeltaNet"
  static let card = ModelCard(
    "Gated DeltaNet", recurrence: "gated delta rule", papers: ["2412.06464"])
  static let depth = 21
  static let keys: Set<String> = ["expand_k", "expand_v"]

  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.gated_deltanet` section.
  struct Keys: ConfigurationSection {
    static let name = "model.gated_deltanet"
    static let documentation = "What only Gated DeltaNet has."

    @Key("negative_eigenvalues", .model, "Whether steps reach 2 instead of 1: allow_neg_eigval.")
    var negativeEigenvalues = false

    init() {}
  }

  let shape: DeltaHeads
  let isGated, doublesBeta: Bool
  let taps: Int?
  let gateActivation: Activation

  init(_ section: ModelSection) {
    shape = DeltaHeads(section, expandKey: 0.75, expandValue: 2)
    isGated = true
    doublesBeta = section.subsections[Keys.self].negativeEigenvalues
    taps = 4
    gateActivation = .silu
  }

  init(_ keys: ModelKeys, dimension: Int) {
    shape = DeltaHeads(keys, headDimension: 256, heads: 6, expandValue: 2)
    isGated = keys.boolean("use_gate", default: true)
    doublesBeta = keys.boolean("allow_neg_eigval", default: false)
    taps = keys.convolutionTaps(default: true)
    gateActivation = keys.choice(
      "output_gate_activation", default: "swish",
      of: [("swish", .silu), ("silu", .silu), ("sigmoid", .sigmoid)])
  }

  var configuration: [String: JSONValue] {
    shape.configuration.merging([
      "use_gate": .bool(isGated), "allow_neg_eigval": .bool(doublesBeta),
      "use_short_conv": .bool(taps != nil), "conv_size": .integer(taps ?? 4),
      "output_gate_activation": gateActivation == .silu ? "swish" : "sigmoid",
    ]) { $1 }
  }

  var problem: String? { shape.problem }
}
