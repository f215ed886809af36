import Configuration
import Kernels

/// cosFormer: linear attention whose weights fall as a cosine of the distance, normalised by their sum.
///
/// No other project's models have this type. Its folders are in flash-linear-attention's layout: per layer, under `attn.`,
/// `q_proj.weight [K, D]`, `k_proj.weight [K/G, D]`, `v_proj.weight [V/G, D]` and `o_proj.weight [D, V]`, for
/// `G = num_heads / num_kv_heads`; `max_seq_len` in its `config.json` is M, the length over which weights fall to 0.
///
/// - Source: arXiv 2202.08791.
struct CosFormer: FlashMixer {
  typealias Layer = CosFormerMixer

  static let name = "cosformer"
  static let className = "CosFormer"
  static let card = ModelCard(
    "cosFormer", recurrence: "none, normalised, with cosine positions", papers: ["2202.08791"])
  static let keys: Set<String> = ["kv_heads", "expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.cosformer` section.
  struct Keys: ConfigurationSection {
    static let name = "model.cosformer"
    static let documentation = "What only cosFormer has."

    @Key(
      "length", .model, from: 1, unit: "tokens",
      "Distance at which weights have fallen to 0, and the longest document; null = sequence.length."
    )
    var length: Int?

    init() {}
  }

  /// The key that says M.
  static let lengthKey = "model.cosformer.length"

  let expandKey, expandValue: Double
  let keyValueHeads: Int?
  let heads: HeadSplit
  /// M.
  let length: Int

  init(_ section: ModelSection) {
    expandKey = section.expandKey ?? 1
    expandValue = section.expandValue ?? 1
    keyValueHeads = section.keyValueHeads
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: keyValueHeads,
      mostKeys: DiagonalRecurrence.mostKeys / 2)
    length = section.subsections[Keys.self].length ?? section.sequenceLength
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 1)
    expandValue = keys.ratio("expand_v", default: 1)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 16), keyHeads: keyValueHeads,
      mostKeys: DiagonalRecurrence.mostKeys / 2)
    length = keys.positive("max_seq_len", default: 2048)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "num_kv_heads": .optional(keyValueHeads),
      "max_seq_len": .integer(length),
    ]
  }

  var longestDocument: DocumentLimit? { DocumentLimit(tokens: length, key: Self.lengthKey) }

  var problem: String? {
    if let problem = heads.problem { return problem }
    guard heads.valueDimension > 255 else { return nil }
    return
      "\(heads.heads) heads cut the values into \(heads.valueDimension) numbers each, and 255 is the most beside "
      + "their normaliser; use at least \((heads.valueWidth + 254) / 255) heads"
  }
}
