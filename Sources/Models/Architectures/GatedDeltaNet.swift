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

  /// Heads of queries and keys.
  let keyHeads: Int
  /// Heads of values and of the state where they are more.
  let valueHeads: Int?
  /// K, numbers of a key.
  let keyDimension: Int
  /// Numbers of a value over those of a key.
  let expandValue: Double
  let isGated, doublesBeta: Bool
  let taps: Int?
  let gateActivation: Activation
  /// Width of all keys.
  private let keyWidth: Int

  init(_ section: ModelSection) {
    keyHeads = section.heads
    valueHeads = nil
    expandValue = section.expandValue ?? 2
    keyWidth = Int(Double(section.dimension) * (section.expandKey ?? 0.75))
    keyDimension = keyWidth / keyHeads
    (isGated, doublesBeta) = (true, false)
    taps = 4
    gateActivation = .silu
  }

  init(_ keys: ModelKeys, dimension: Int) {
    keyHeads = keys.positive("num_heads", default: 6)
    valueHeads = keys.optionalPositive("num_v_heads")
    keyDimension = keys.positive("head_dim", default: 256)
    expandValue = keys.ratio("expand_v", default: 2)
    keyWidth = keyHeads * keyDimension
    isGated = keys.boolean("use_gate", default: true)
    doublesBeta = keys.boolean("allow_neg_eigval", default: false)
    taps = keys.convolutionTaps(default: true)
    gateActivation = keys.choice(
      "output_gate_activation", default: "swish",
      of: [("swish", .silu), ("silu", .silu), ("sigmoid", .sigmoid)])
  }

  /// Heads of the state.
  var heads: Int { valueHeads ?? keyHeads }
  /// V, numbers of a value.
  var valueDimension: Int { Int((Double(keyDimension) * expandValue).rounded()) }

  var configuration: [String: JSONValue] {
    [
      "head_dim": .integer(keyDimension), "expand_v": .number(expandValue),
      "num_heads": .integer(keyHeads), "num_v_heads": .optional(valueHeads),
      "use_gate": .bool(isGated), "allow_neg_eigval": .bool(doublesBeta),
      "use_short_conv": .bool(taps != nil), "conv_size": .integer(taps ?? 4),
      "output_gate_activation": gateActivation == .silu ? "swish" : "sigmoid",
    ]
  }

  var problem: String? {
    let exact = Double(keyDimension) * expandValue
    guard abs(exact - exact.rounded()) < 1e-6 else {
      return "values \(expandValue) times as wide as keys of \(keyDimension) are no whole number; "
        + "choose another width of the values"
    }
    let split = HeadSplit(
      heads: keyHeads, keyWidth: keyWidth, valueWidth: keyHeads * valueDimension)
    if let problem = split.problem { return problem }
    guard heads % keyHeads == 0 else {
      return "\(keyHeads) heads do not divide \(heads) heads of values; "
        + "use a multiple of \(keyHeads)"
    }
    return nil
  }
}
