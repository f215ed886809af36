import Configuration

/// A softmax attention layer: all there is to a Transformer's mixer, and some layers of a hybrid.
struct AttentionSettings {
  let heads: Int
  let keyValueHeads: Int?
  /// Numbers of a head; nil for the model's width over the heads.
  let headDimension: Int?
  /// Whether the projections of q, k and v have biases; whether the one out has.
  let hasBias, hasOutputBias: Bool
  /// Epsilon of the norms of each head's queries and keys; nil for no norms.
  let normEpsilon: Float?
  /// The most tokens a query sees, itself included; nil for all.
  var window: Int?
  let positions: RotaryPositions
  /// How many of a head's numbers turn with their positions, from the first on; nil for all, 0 for none.
  var rotated: Int?
  /// Whether an odd `rotated` turns the number after, too, as where transformers takes a share of a head; its frequencies are
  /// `θ^(−2j/rotated)` all the same.
  var rotatesNext = false
  /// What scores are multiplied by; nil for one over the root of a head's numbers.
  var scale: Float?

  /// Whether outputs are multiplied by the sigmoid of what stands beside each head's queries in their projection.
  var isGated = false
  /// Whether the norms' weights are stored as what they differ from 1 by.
  var hasZeroCentredNorms = false

  /// The epsilon of flash-linear-attention's norms of queries and keys, whatever that of the model is.
  static let usualNormEpsilon: Float = 1e-5

  init(
    heads: Int, keyValueHeads: Int?, headDimension: Int?, hasBias: Bool, hasOutputBias: Bool,
    normEpsilon: Float?, positions: RotaryPositions
  ) {
    (self.heads, self.keyValueHeads) = (heads, keyValueHeads)
    self.headDimension = headDimension
    (self.hasBias, self.hasOutputBias) = (hasBias, hasOutputBias)
    (self.normEpsilon, self.positions) = (normEpsilon, positions)
    window = nil
  }

  /// What a run file describes.
  init(_ section: ModelSection) {
    heads = section.heads
    keyValueHeads = section.keyValueHeads
    headDimension = nil
    (hasBias, hasOutputBias, normEpsilon) = (section.bias, false, nil)
    window = section.window
    positions = RotaryPositions(base: 10_000)
  }

  /// What a `config.json` of a Transformer describes, or the `attn` of a hybrid, where `isHybrid`.
  init(_ keys: ModelKeys, isHybrid: Bool) {
    heads = keys.positive("num_heads", default: isHybrid ? nil : 32)
    keyValueHeads = keys.optionalPositive("num_kv_heads")
    headDimension = nil
    hasBias = keys.boolean("qkv_bias", default: false)
    hasOutputBias = false
    let isNormed = isHybrid ? false : keys.boolean("qk_norm", default: false)
    normEpsilon = isNormed ? Self.usualNormEpsilon : nil
    window = keys.optionalPositive("window_size")
    positions = RotaryPositions(base: keys.rotaryBase())
  }

  /// Its keys, but for `qk_norm`, which hybrids do not have.
  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads), "num_kv_heads": .optional(keyValueHeads),
      "qkv_bias": .bool(hasBias), "window_size": .optional(window),
      "rope_theta": .number(positions.base),
    ]
  }

  /// Why the numbers that turn cannot be those of heads so wide; nil where they can.
  func rotationProblem(of width: Int) -> String? {
    let rotated = rotated ?? width
    if rotated > width {
      return
        "\(rotated) numbers of a head cannot turn where it has \(width); choose at most \(width)"
    }
    if rotated % 2 == 0 || rotatesNext && rotated < width && !positions.needsPairs { return nil }
    return "\(rotated) numbers of a head cannot be rotated by halves; choose an even number"
  }

  /// How a model's width is cut.
  func split(_ dimension: Int) -> HeadSplit {
    if let headDimension {
      return HeadSplit(heads: heads, keyHeads: keyValueHeads, rotated: headDimension)
    }
    return HeadSplit(
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
