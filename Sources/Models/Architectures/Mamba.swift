import Configuration

/// Mamba: blocks of one selective scan each, without channel mixers, so that `model.glu` has nothing to say.
///
/// - Source: arXiv 2312.00752; flash-linear-attention's layout.
struct Mamba: Architecture {
  static let mixers = ["mamba"]
  static let modelType = "mamba"
  static let card = ModelCard(
    "Mamba", recurrence: "elementwise, selective scan", papers: ["2312.00752"])
  static let sharedKeys: Set<String> = ["bias", "tie_embeddings"]
  static let ignoredKeys = MambaSettings.ignoredKeys
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.mamba` section.
  struct Keys: ConfigurationSection {
    static let name = "model.mamba"
    static let documentation = "What only Mamba has."

    @Key("expand", from: 1, "Channels of the scan over dimension.")
    var expand = 2

    @Key("state_size", from: 1, through: 256, "States of a channel.")
    var states = 16

    @Key("conv_kernel", from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("time_step_rank", from: 1, "Width that steps come from; null = dimension over 16.")
    var rank: Int?

    init() {}
  }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let settings: MambaSettings
  let norms: NormPlacement

  /// Attention layers beside it, keys that it does not have.
  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let attention = KeyProblem(
      "layers", message: "the mixer mamba has no attention layers beside it; choose samba")
    return (section.hasAttentionLayers ? [attention] : [])
      + section.unread(by: "mamba", reading: sharedKeys)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    settings = MambaSettings(
      dimension: dimension, expand: keys.expand, states: keys.states, taps: keys.taps,
      rank: keys.rank, hasBias: section.bias)
    norms = NormPlacement(section)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: 48)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    settings = MambaSettings(keys, dimension: dimension)
    norms = NormPlacement(keys)
  }

  var configuration: [String: JSONValue] {
    let own: [String: JSONValue] = [
      "architectures": ["MambaForCausalLM"], "model_type": "mamba",
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth),
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    return own.merging(settings.configuration) { $1 }.merging(norms.configuration) { $1 }
  }

  /// 1.
  var embeddingScale: Float { 1 }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("backbone.embeddings.weight", "backbone.norm_f.weight", "lm_head.weight")
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.layers.\(layer)."
    let norm = builder.norm(prefix + "norm.weight", width: dimension, epsilon: normEpsilon)
    let place = MixerPlace(
      layer: layer, dimension: dimension, epsilon: normEpsilon, name: prefix + "mixer.")
    return Block(
      region: region, mixer: MambaMixer(settings, at: place, &builder),
      norms: norms.around(norm, block: layer, depth: depth))
  }
}
