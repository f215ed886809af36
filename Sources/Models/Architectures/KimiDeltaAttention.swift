import Configuration
import Kernels

/// Kimi Delta Attention (KDA): the delta rule with a decay from data for every key channel.
///
/// - Source: Kimi Linear (arXiv 2510.26692); flash-linear-attention's layout.
struct KimiDeltaAttention: FlashMixer {
  typealias Layer = KDAMixer

  static let name = "kda"
  static let className = "KDA"
  static let card = ModelCard(
    "Kimi Delta Attention", recurrence: "delta rule with channel gates", papers: ["2510.26692"])
  static let keys: Set<String> = ["expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.kda` section.
  struct Keys: ConfigurationSection {
    static let name = "model.kda"
    static let documentation = "What only Kimi Delta Attention has."

    @Key("negative_eigenvalues", .model, "Whether steps reach 2 instead of 1: allow_neg_eigval.")
    var negativeEigenvalues = false

    @Key(
      "lower_bound", .model, below: 0, "Least log decay, of gates by sigmoid; null = by softplus.")
    var least: Double?

    init() {}
  }

  let shape: DeltaHeads
  let doublesBeta: Bool
  let taps: Int?
  /// The least log decay of gates that are sigmoids; nil for gates by softplus.
  let least: Double?

  init(_ section: ModelSection) {
    shape = DeltaHeads(section, expandKey: 1, expandValue: 1)
    let keys = section.subsections[Keys.self]
    doublesBeta = keys.negativeEigenvalues
    least = keys.least
    taps = 4
  }

  init(_ keys: ModelKeys, dimension: Int) {
    shape = DeltaHeads(keys, headDimension: 128, heads: 16, expandValue: 1)
    doublesBeta = keys.boolean("allow_neg_eigval", default: false)
    taps = keys.convolutionTaps(default: true)
    least = keys.optionalNumber("lower_bound")
    if let least, least >= 0 {
      keys.refuse("lower_bound", "\(least) is not below 0, where log decays are")
    }
  }

  var configuration: [String: JSONValue] {
    shape.configuration.merging([
      "allow_neg_eigval": .bool(doublesBeta), "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4), "lower_bound": .optional(least),
    ]) { $1 }
  }

  var problem: String? { shape.problem }
}
