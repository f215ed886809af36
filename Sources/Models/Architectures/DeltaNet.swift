import Configuration
import Kernels

/// DeltaNet: the delta rule without decay.
///
/// - Source: arXiv 2406.06484; flash-linear-attention's layout.
struct DeltaNet: FlashMixer {
  typealias Layer = DeltaNetMixer

  /// How a head's queries and keys are normalised.
  enum KeyNorm: String {
    case l2, sum
  }

  static let name = "delta_net"
  static let className = "DeltaNet"
  static let card = ModelCard(
    "DeltaNet", recurrence: "delta rule", papers: ["2406.06484"])
  static let keys: Set<String> = ["expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.delta_net` section.
  struct Keys: ConfigurationSection {
    static let name = "model.delta_net"
    static let documentation = "What only DeltaNet has."

    @Key("negative_eigenvalues", .model, "Whether steps reach 2 instead of 1: allow_neg_eigval.")
    var negativeEigenvalues = false

    init() {}
  }

  let expandKey, expandValue: Double
  let heads: HeadSplit
  let isGated, usesBeta, doublesBeta: Bool
  let taps: Int?
  let keyNorm: KeyNorm
  let keyActivation: Activation

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 1
    expandValue = section.expandValue ?? 1
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: nil,
      mostKeys: DeltaRecurrence.mostKeys)
    (isGated, usesBeta) = (false, true)
    doublesBeta = section.subsections[Keys.self].negativeEigenvalues
    taps = 4
    (keyNorm, keyActivation) = (.l2, .silu)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 1)
    expandValue = keys.ratio("expand_v", default: 1)
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 16), keyHeads: nil,
      mostKeys: DeltaRecurrence.mostKeys)
    isGated = keys.boolean("use_gate", default: false)
    usesBeta = keys.boolean("use_beta", default: true)
    doublesBeta = keys.boolean("allow_neg_eigval", default: false)
    taps = keys.convolutionTaps(default: true)
    keyNorm = keys.choice("qk_norm", default: "l2", of: [("l2", .l2), ("sum", .sum)])
    keyActivation = keys.choice(
      "qk_activation", default: "silu", of: Self.activations)
  }

  private static let activations: [(name: String, value: Activation)] = [
    ("silu", .silu), ("relu", .relu), ("elu", .eluPlusOne), ("identity", .identity),
  ]

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "use_gate": .bool(isGated), "use_beta": .bool(usesBeta),
      "allow_neg_eigval": .bool(doublesBeta), "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4), "qk_norm": .string(keyNorm.rawValue),
      "qk_activation": .string(
        Self.activations.first { $0.value == keyActivation }?.name ?? "silu"),
    ]
  }

  var problem: String? { heads.problem }
}
