import Configuration

/// The Forgetting Transformer (FoX): softmax attention that forgets by gates from data, without positions.
///
/// - Source: arXiv 2503.02130; flash-linear-attention's layout.
struct ForgettingTransformer: FlashMixer {
  typealias Layer = ForgettingAttentionMixer

  static let name = "forgetting_transformer"
  static let className = "ForgettingTransformer"
  static let card = ModelCard(
    "Forgetting Transformer", recurrence: "softmax attention with a decay bias",
    papers: ["2503.02130"])
  static let keys: Set<String> = ["kv_heads", "bias"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.forgetting_transformer` section.
  struct Keys: ConfigurationSection {
    static let name = "model.forgetting_transformer"
    static let documentation = "What only the Forgetting Transformer has."

    @Key("qk_norm", .model, "Whether each head's queries and keys are normalised.")
    var normalizesKeys = false

    @Key("output_gate", .model, "Whether outputs are gated by a projection of the input.")
    var isGated = false

    init() {}
  }

  let keyValueHeads: Int?
  let heads: HeadSplit
  /// Whether the projections of q, k and v have biases; whether q and k are normalised; whether outputs are gated.
  let hasBias, normalizesKeys, isGated: Bool
  /// What the file says of a window, which no output depends on.
  let window: Int?

  init(_ section: ModelSection) {
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: 1, expandValue: 1, heads: section.heads,
      keyHeads: keyValueHeads)
    let keys = section.subsections[Keys.self]
    (hasBias, normalizesKeys, isGated) = (section.bias, keys.normalizesKeys, keys.isGated)
    window = nil
  }

  init(_ keys: ModelKeys, dimension: Int) {
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: 1, expandValue: 1,
      heads: keys.positive("num_heads", default: 32), keyHeads: keyValueHeads)
    hasBias = keys.boolean("qkv_bias", default: false)
    normalizesKeys = keys.boolean("qk_norm", default: false)
    isGated = keys.boolean("use_output_gate", default: false)
    window = keys.optionalPositive("window_size")
  }

  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
      "qkv_bias": .bool(hasBias), "qk_norm": .bool(normalizesKeys),
      "use_output_gate": .bool(isGated), "window_size": .optional(window),
    ]
  }

  var problem: String? { heads.problem }
}
