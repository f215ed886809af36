import Configuration

/// Bamba: Mamba-2, and in some layers softmax attention whose heads turn by half, each with a gated channel mixer.
///
/// Concretely: `x += mixer(rms(x))`, `x += W_down(silu(y W_gate) ⊙ y W_up)` with `y = rms(x)`.
///
/// - Source: IBM's Bamba-9B; Mamba-2 (arXiv 2405.21060); the layout of Hugging Face's transformers.
struct Bamba: Mamba2Hybrid {
  static let name = "bamba"
  static let className = "Bamba"
  static let card = ModelCard(
    "Bamba", recurrence: "scalar decay, and softmax attention", papers: ["2405.21060"])
  static let sharedKeys: Set<String> = ["kv_heads", "tie_embeddings"]
  static let ignoredKeys = Mamba2Settings.ignoredKeys.union([
    "num_logits_to_keep", "attn_rotary_emb", "partial_rotary_factor",
  ])
  static let omittedKeys: Set<String> = [Mamba2Settings.limitsKey]
  static var section: (any ConfigurationSection.Type)? { Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] { [Mamba2.Keys.self] }

  /// The run file's `model.bamba` section.
  struct Keys: ConfigurationSection {
    static let name = "model.bamba"
    static let documentation = "What only Bamba has; its Mamba-2 layers are as model.mamba2 says."

    @Key("mamba_heads", .model, from: 1, "Heads of a Mamba-2 layer; null = model.heads.")
    var mambaHeads: Int?

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key("attention_bias", .model, "Whether the projections of q, k, v and o have biases.")
    var attentionBias = false

    @Key("mlp_bias", .model, "Whether the channel mixer has biases.")
    var channelBias = false

    @Key(
      "z_loss", .model, from: 0,
      "Weight of the mean of (log Σ exp(logits))² over all positions in the loss.")
    var zLoss = 0.0

    init() {}
  }

  let skeleton: LlamaSkeleton
  let types: LayerTypes
  let attention: AttentionSettings
  let rotary: RotaryKeys
  let mamba: Mamba2Settings
  /// The weight of the head's z-loss.
  let logSumPenalty: Double

  /// What its tensors are called.
  private static let names = LlamaSkeleton.Names(
    channelNorm: "pre_ff_layernorm", channels: "feed_forward.",
    outerNorm: "model.final_layernorm")
  /// The share of a head's numbers that turn where `rope_parameters` says nothing, whatever stands beside it.
  private static let usualShare = 0.5

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    var skeleton = LlamaSkeleton(
      section, vocabulary: vocabulary, hasChannelBias: keys.channelBias)
    skeleton.names = Self.names
    rotary =
      RotaryKeys.reading(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, length: skeleton.length
      ).keys
    let attention = AttentionSettings(
      heads: section.heads, keyValueHeads: section.keyValueHeads,
      headDimension: keys.headDimension, hasBias: keys.attentionBias,
      hasOutputBias: keys.attentionBias, normEpsilon: nil, positions: rotary.positions)
    self.attention = Self.turning(
      attention, share: Self.usualShare, dimension: skeleton.dimension)
    self.skeleton = skeleton
    mamba = Mamba2Settings(section, heads: keys.mambaHeads ?? section.heads, beginsEven: true)
    types = Self.types(LayerTypes.attention(section) { _ in false })
    logSumPenalty = keys.zLoss
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let usual = LlamaSkeleton.Defaults(
      channelWidth: 14336, vocabulary: 128_000, length: 262_144, epsilon: 1e-5, keyValueHeads: 8)
    var skeleton = LlamaSkeleton(keys, default: usual, mayHaveBias: true)
    skeleton.names = Self.names
    rotary = RotaryKeys(keys, length: skeleton.length, base: usual.rotaryBase)
    let hasBias = keys.boolean("attention_bias", default: false)
    let attention = AttentionSettings(
      keys, default: usual, hasBias: hasBias, hasOutputBias: hasBias, positions: rotary.positions)
    let share =
      keys.object("rope_parameters")?.number("partial_rotary_factor", default: Self.usualShare)
      ?? Self.usualShare
    if !(0...1).contains(share) {
      keys.refuse("rope_parameters", "\(share) of a head cannot turn; give a share from 0 to 1")
    }
    self.attention = Self.turning(
      attention, share: min(max(share, 0), 1), dimension: skeleton.dimension)
    self.skeleton = skeleton
    mamba = Mamba2Settings(hybrid: keys, dimension: skeleton.dimension)
    let depth = skeleton.depth
    let layers = keys.integers("attn_layer_indices") ?? []
    if let beyond = layers.first(where: { !(0..<depth).contains($0) }) {
      keys.refuse("attn_layer_indices", "there is no layer \(beyond) in a model of \(depth)")
    }
    types = Self.types((0..<depth).map(layers.contains))
    logSumPenalty = keys.share("z_loss_coefficient")
    try self.attention.check(
      dimension: skeleton.dimension, rotary, rotatedBy: "rope_parameters")
  }

  /// Attention of whose heads a share of the numbers turns, rounded down.
  private static func turning(
    _ settings: AttentionSettings, share: Double, dimension: Int
  ) -> AttentionSettings {
    var settings = settings
    settings.rotated = Int(Double(settings.split(dimension).keyDimension) * share)
    settings.rotatesNext = true
    return settings
  }

  private static func types(_ isAttention: [Bool]) -> LayerTypes {
    let layers = isAttention.indices.filter { isAttention[$0] }
    return LayerTypes(
      isAttention, ["attn_layer_indices": .array(layers.map { .integer($0) })])
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let model = Self(section, vocabulary: 2)
    let keys = section.subsections[Keys.self]
    return model.layerProblems(section, heads: keys.mambaHeads, key: "\(Keys.name).mamba_heads")
      + RotaryKeys.problems(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, section, in: Keys.name)
      + commonProblems(section)
  }

  var ownConfiguration: [String: JSONValue] {
    let own: [String: JSONValue] = [
      "attention_bias": .bool(attention.hasBias), "mlp_bias": .bool(skeleton.hasChannelBias),
      "z_loss_coefficient": .number(logSumPenalty),
    ]
    return withLayers(own)
  }
}
