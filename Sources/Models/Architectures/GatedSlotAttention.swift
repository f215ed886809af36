import Configuration
import Kernels

/// Gated Slot Attention (GSA): softmax attention over a fixed number of slots of keys and values.
///
/// - Source: arXiv 2409.07146; flash-linear-attention's layout.
struct GatedSlotAttention: FlashMixer {
  typealias Layer = GSAMixer

  static let name = "gsa"
  static let className = "GSA"
  static let card = ModelCard(
    "Gated Slot Attention", recurrence: "gated slots: value decay, then vector decay",
    papers: ["2409.07146"])
  /// Keys that its models have and do not look at.
  static let ignoredKeys: Set<String> = [
    "use_output_gate", "use_norm", "clamp_min", "clamp_max", "exapnd_k", "exapnd_v",
  ]
  static let keys: Set<String> = ["kv_heads", "expand_k"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// What queries and keys go through, as run files name it.
  enum Map: String, KeyChoice {
    case silu, relu
  }

  /// The run file's `model.gsa` section.
  struct Keys: ConfigurationSection {
    static let name = "model.gsa"
    static let documentation = "What only GSA has."

    @Key("slots", .model, from: 1, through: 256, "Slots of each head.")
    var slots = 64

    @Key("gate_normalizer", .model, above: 0, "What log decays are divided by.")
    var divisor = 8.0

    @Key("feature_map", .model, "What queries and keys go through.")
    var featureMap = Map.silu

    @Key("short_conv", .model, "Whether queries, keys and values go through short convolutions.")
    var hasConvolution = false

    init() {}
  }

  let expandKey: Double
  let keyValueHeads: Int?
  let heads: HeadSplit
  let slots: Int
  let divisor: Double
  let featureMap: Activation
  let taps: Int?

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    expandKey = section.expandKey ?? 1
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: 1, heads: section.heads,
      keyHeads: keyValueHeads)
    slots = keys.slots
    divisor = keys.divisor
    featureMap = keys.featureMap == .silu ? .silu : .relu
    taps = keys.hasConvolution ? 4 : nil
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 1)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: 1,
      heads: keys.positive("num_heads", default: 4), keyHeads: keyValueHeads)
    slots = keys.positive("num_slots", default: 64)
    if slots > 256 { keys.refuse("num_slots", "\(slots) slots are more than 256") }
    divisor = keys.positiveNumber("gate_logit_normalizer", default: 8)
    featureMap = keys.choice(
      "feature_map", default: "swish",
      of: [("swish", .silu), ("silu", .silu), ("relu", .relu)])
    taps = keys.convolutionTaps(default: false)
    if keys.ratio("expand_v", default: 1) != 1 {
      keys.refuse(
        "expand_v", "the norm of all values is as wide as the model, so that it must be 1")
    }
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": 1, "num_heads": .integer(heads.heads),
      "num_kv_heads": .optional(keyValueHeads), "num_slots": .integer(slots),
      "gate_logit_normalizer": .whole(divisor),
      "feature_map": featureMap == .silu ? "swish" : "relu", "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4),
    ]
  }

  var problem: String? {
    if let problem = heads.widthProblem { return problem }
    let (keys, values) = (heads.keyDimension, heads.valueDimension)
    guard max(keys, values) <= GatedSlotRecurrence.mostNumbers else {
      return
        "\(heads.heads) heads cut keys and values into \(keys) and \(values) numbers each, and "
        + "\(GatedSlotRecurrence.mostNumbers) is the most; use more heads"
    }
    return nil
  }
}
