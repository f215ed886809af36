import Configuration

/// Granite 4: Mamba-2, and in some layers softmax attention; experts beside a mixer for all tokens; multipliers everywhere.
///
/// Concretely: `x = e · embedding`, `x += r · mixer(rms(x))`, `x += r · (shared(y) + experts(y))` with `y = rms(x)`, logits
/// over l; scores of attention are multiplied by a.
///
/// - Source: IBM's Granite 4; Mamba-2 (arXiv 2405.21060); the layout of Hugging Face's transformers.
struct GraniteMoeHybrid: Mamba2Hybrid {
  static let name = "granitemoehybrid"
  static let className = "GraniteMoeHybrid"
  static let card = ModelCard(
    "Granite 4", recurrence: "scalar decay, and softmax attention", papers: ["2405.21060"])
  static let sharedKeys: Set<String> = ["kv_heads", "tie_embeddings"]
  static let ignoredKeys = Mamba2Settings.ignoredKeys
  static let omittedKeys: Set<String> = [Mamba2Settings.limitsKey]
  static var section: (any ConfigurationSection.Type)? { Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] {
    [Mamba2.Keys.self, ExpertsSection.self]
  }

  /// The run file's `model.granitemoehybrid` section.
  struct Keys: ConfigurationSection {
    static let name = "model.granitemoehybrid"
    static let documentation =
      "What only Granite 4 has; its Mamba-2 layers are as model.mamba2 says."

    @Key("mamba_heads", .model, from: 1, "Heads of a Mamba-2 layer; null = model.heads.")
    var mambaHeads: Int?

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key("experts", .model, "Whether there are experts beside what all tokens take.")
    var hasExperts = true

    @Key("rope", .model, "Whether queries and keys of attention are rotated by their positions.")
    var isRotated = false

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key("attention_bias", .model, "Whether the projections of q, k, v and o have biases.")
    var attentionBias = false

    @Key("embedding_multiplier", .model, above: 0, "What embeddings are multiplied by.")
    var embeddingScale = 1.0

    @Key("residual_multiplier", .model, above: 0, "What layers are multiplied by when added.")
    var residualScale = 1.0

    @Key(
      "attention_multiplier", .model, above: 0,
      "What scores of attention are multiplied by; null = one over the root of a head's numbers.")
    var scoreScale: Double?

    @Key("logits_scaling", .model, above: 0, "What logits are divided by.")
    var logitDivisor = 1.0

    init() {}
  }

  let skeleton: LlamaSkeleton
  let types: LayerTypes
  let attention: AttentionSettings
  let rotary: RotaryKeys
  let mamba: Mamba2Settings
  /// The word for positions, as it is written.
  let positions: JSONValue
  let embeddingMultiplier, residualMultiplier, attentionMultiplier, logitDivisor: Double

  /// What its tensors are called.
  private static let names = LlamaSkeleton.Names(
    channels: "shared_mlp.", fusedChannels: ("input_linear", "output_linear"))
  /// `position_embedding_type` where positions rotate.
  private static let rotation = "rope"

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    let experts = section.subsections[ExpertsSection.self]
    var skeleton = LlamaSkeleton(section, vocabulary: vocabulary, hasChannelBias: false)
    skeleton.names = Self.names
    if keys.hasExperts {
      skeleton.experts = ExpertLayers(
        .granite, experts, width: skeleton.channelWidth, depth: skeleton.depth)
    }
    rotary =
      RotaryKeys.reading(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, length: skeleton.length
      ).keys
    var attention = AttentionSettings(
      heads: section.heads, keyValueHeads: section.keyValueHeads,
      headDimension: keys.headDimension, hasBias: keys.attentionBias,
      hasOutputBias: keys.attentionBias, normEpsilon: nil, positions: rotary.positions)
    let width = max(attention.split(skeleton.dimension).keyDimension, 1)
    attentionMultiplier = keys.scoreScale ?? 1 / Double(width).squareRoot()
    attention.rotated = keys.isRotated ? nil : 0
    attention.scale = Float(attentionMultiplier)
    (self.skeleton, self.attention) = (skeleton, attention)
    positions = keys.isRotated ? .string(Self.rotation) : .null
    (embeddingMultiplier, residualMultiplier) = (keys.embeddingScale, keys.residualScale)
    logitDivisor = keys.logitDivisor
    mamba = Mamba2Settings(section, heads: keys.mambaHeads ?? section.heads, beginsEven: true)
    types = LayerTypes(section) { _ in false }
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let usual = LlamaSkeleton.Defaults()
    var skeleton = LlamaSkeleton(keys, default: usual, mayHaveBias: false)
    skeleton.names = Self.names
    if keys.integer("num_local_experts", default: 8) == 0 {
      skeleton.ownChannelWidth = keys.positive(
        "shared_intermediate_size", default: ExpertLayers.usualShared)
    } else {
      skeleton.experts = ExpertLayers(
        .granite, keys, width: skeleton.channelWidth, depth: skeleton.depth)
    }
    rotary = RotaryKeys(keys, length: skeleton.length, base: usual.rotaryBase)
    let hasBias = keys.boolean("attention_bias", default: false)
    var attention = AttentionSettings(
      keys, default: usual, hasBias: hasBias, hasOutputBias: hasBias, positions: rotary.positions)
    let word = keys.string("position_embedding_type", default: "")
    positions = word.isEmpty ? .null : .string(word)
    attention.rotated = word == Self.rotation ? nil : 0
    embeddingMultiplier = keys.multiplier("embedding_multiplier")
    residualMultiplier = keys.multiplier("residual_multiplier")
    attentionMultiplier = keys.multiplier("attention_multiplier")
    logitDivisor = keys.multiplier("logits_scaling")
    attention.scale = Float(attentionMultiplier)
    if residualMultiplier != 1 { skeleton.requirePlacement(keys) }
    (self.skeleton, self.attention) = (skeleton, attention)
    mamba = Mamba2Settings(hybrid: keys, dimension: skeleton.dimension)
    types = LayerTypes(keys, depth: skeleton.depth) { _ in false }
    try attention.check(dimension: skeleton.dimension, rotary)
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let model = Self(section, vocabulary: 2)
    let keys = section.subsections[Keys.self]
    return model.layerProblems(section, heads: keys.mambaHeads, key: "\(Keys.name).mamba_heads")
      + RotaryKeys.problems(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, section, in: Keys.name)
      + (keys.residualScale == 1 ? [] : placementProblem(section))
      + (keys.hasExperts ? ExpertLayout.granite.problems(section, of: name) : [])
      + commonProblems(section)
  }

  var ownConfiguration: [String: JSONValue] {
    var own: [String: JSONValue] = [
      "attention_bias": .bool(attention.hasBias), "position_embedding_type": positions,
      "embedding_multiplier": .number(embeddingMultiplier),
      "residual_multiplier": .number(residualMultiplier),
      "attention_multiplier": .number(attentionMultiplier),
      "logits_scaling": .number(logitDivisor),
    ]
    if skeleton.experts == nil {
      own["num_local_experts"] = 0
      own["shared_intermediate_size"] = .integer(
        skeleton.ownChannelWidth ?? skeleton.channelWidth)
    }
    return withLayers(own)
  }

  var embeddingScale: Float { Float(embeddingMultiplier) }

  func residuals(
    _ layer: Int
  ) -> (mixer: LlamaSkeleton.Residual, channels: LlamaSkeleton.Residual) {
    let scaled = LlamaSkeleton.Residual.scaled(Float(residualMultiplier))
    return (scaled, scaled)
  }

  /// The norm before the head, over what logits are divided by.
  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    let norm = builder.norm(
      outerNames.norm!, width: dimension, epsilon: normEpsilon)
    return logitDivisor == 1 ? norm : ScaledNorm(norm: norm, factor: Float(1 / logitDivisor))
  }
}

extension ModelKeys {
  /// What something is multiplied by, above 0: 1 where nothing is said.
  fileprivate func multiplier(_ key: String) -> Double { positiveNumber(key, default: 1) }
}
