import Configuration

/// A softmax attention layer: all there is to a Transformer's mixer, and some layers of a hybrid.
struct AttentionSettings {
  let heads: Int
  let keyValueHeads: Int?
  /// Whether the projections of q, k and v have biases.
  let hasBias: Bool
  /// Whether each head's queries and keys are normalised.
  let normalizesKeys: Bool
  /// The most tokens a query sees, itself included; nil for all.
  var window: Int?
  /// The base of the rotary frequencies.
  let base: Double

  /// What a run file describes.
  init(_ section: ModelSection) {
    heads = section.heads
    keyValueHeads = section.keyValueHeads
    (hasBias, normalizesKeys) = (section.bias, false)
    window = section.window
    base = 10_000
  }

  /// What a `config.json` of a Transformer describes, or the `attn` of a hybrid, where `isHybrid`.
  init(_ keys: ModelKeys, isHybrid: Bool) {
    heads = keys.positive("num_heads", default: isHybrid ? nil : 32)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    hasBias = keys.boolean("qkv_bias", default: false)
    normalizesKeys = isHybrid ? false : keys.boolean("qk_norm", default: false)
    window = keys.optionalPositive("window_size")
    base = keys.number("rope_theta", default: 10_000)
    if base <= 1 { keys.refuse("rope_theta", "\(base) is not above 1") }
  }

  /// Its keys, but for `qk_norm`, which hybrids do not have.
  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads), "num_kv_heads": .optional(keyValueHeads),
      "qkv_bias": .bool(hasBias), "window_size": .optional(window), "rope_theta": .number(base),
    ]
  }

  /// How a model's width is cut.
  func split(_ dimension: Int) -> HeadSplit {
    HeadSplit(
      dimension: dimension, expandKey: 1, expandValue: 1, heads: heads, keyHeads: keyValueHeads,
      isRotated: true)
  }
}

/// The attention layers of a hybrid.
struct HybridAttention {
  /// Which layers, from 0, in order.
  let layers: [Int]
  let settings: AttentionSettings

  init(layers: [Int], settings: AttentionSettings) {
    (self.layers, self.settings) = (layers, settings)
  }

  /// The `attn` of a `config.json`, or nil where there is none.
  init?(_ keys: ModelKeys, depth: Int) {
    guard let attn = keys.object("attn") else { return nil }
    let named = attn.requiredIntegers("layers")
    if let beyond = named.first(where: { !(0..<depth).contains($0) }) {
      attn.refuse("layers", "there is no layer \(beyond) in a model of \(depth)")
    }
    layers = Set(named).intersection(0..<depth).sorted()
    settings = AttentionSettings(attn, isHybrid: true)
  }

  /// The value of `attn`.
  var configuration: JSONValue {
    .object(
      settings.configuration.merging(["layers": .array(layers.map { .integer($0) })]) { $1 })
  }
}
