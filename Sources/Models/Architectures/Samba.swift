import Configuration

/// Samba: selective scans and softmax attention in a window by turns, each with a channel mixer, whose width follows from
/// `hidden_ratio` alone, so that `model.glu` has nothing to say.
///
/// - Source: arXiv 2406.07522; flash-linear-attention's layout.
struct Samba: Architecture {
  static let mixers = ["samba"]
  static let modelType = "samba"
  static let card = ModelCard(
    "Samba", recurrence: "elementwise, selective scan, and attention in a window",
    papers: ["2406.07522", "2312.00752"])
  static let sharedKeys: Set<String> = ["bias", "kv_heads", "tie_embeddings", "window"]
  static let ignoredKeys = MambaSettings.ignoredKeys
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.samba` section.
  struct Keys: ConfigurationSection {
    static let name = "model.samba"
    static let documentation = "What only Samba has."

    @Key("expand", from: 1, "Channels of the scan over dimension.")
    var expand = 2

    @Key("state_size", from: 1, through: 256, "States of a channel.")
    var states = 16

    @Key("conv_kernel", from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("time_step_rank", from: 1, "Width that steps come from; null = dimension over 16.")
    var rank: Int?

    @Key(
      "hidden_ratio", above: 0, through: 64,
      "Width of the channel mixer over dimension times 3/2, rounded up to a multiple of 256.")
    var hiddenRatio = 4.0

    init() {}
  }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let hiddenRatio: Double
  let settings: MambaSettings
  let norms: NormPlacement
  /// Which layers are softmax attention, from 0, and what it is like; nil where none is.
  let attention: HybridAttention?

  /// Tokens that attention sees where nothing else is said.
  private static let usualWindow = 2048

  /// Heads that do not fit, attention with a window and without, keys that it does not have.
  static func problems(_ section: ModelSection) -> [KeyProblem] {
    var found: [KeyProblem] = []
    if let problem = attention(section)?.settings.split(section.dimension).problem {
      found.append(KeyProblem("heads", "dimension", message: problem))
    }
    if Set(section.layers).isSuperset(of: [FlashLayers.attention, FlashLayers.fullAttention]) {
      found.append(
        KeyProblem(
          "layers",
          message: "attention layers of the mixer samba have one window or none; name "
            + "\(FlashLayers.attention) or \(FlashLayers.fullAttention), not both"))
    }
    return found + section.unread(by: "samba", reading: sharedKeys)
  }

  /// Every other layer, or those that a list of layers names.
  private static func attention(_ section: ModelSection) -> HybridAttention? {
    let words = [FlashLayers.attention, FlashLayers.fullAttention]
    let layers = (0..<section.depth).filter {
      section.layers.isEmpty ? $0 % 2 == 1 : words.contains(section.mixerOfLayer[$0])
    }
    guard !layers.isEmpty else { return nil }
    var settings = AttentionSettings(section)
    settings.window =
      section.layers.contains(FlashLayers.fullAttention)
      ? nil : section.window ?? Self.usualWindow
    return HybridAttention(layers: layers, settings: settings)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    hiddenRatio = keys.hiddenRatio
    settings = MambaSettings(
      dimension: dimension, expand: keys.expand, states: keys.states, taps: keys.taps,
      rank: keys.rank, hasBias: section.bias)
    norms = NormPlacement(section)
    attention = Self.attention(section)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2304)
    depth = keys.depth("num_hidden_layers", default: 18)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    hiddenRatio = keys.ratio("hidden_ratio", default: 4)
    settings = MambaSettings(keys, dimension: dimension)
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    norms = NormPlacement(keys)
    attention = Self.attention(keys, depth: depth)
    if let problem = attention?.settings.split(dimension).problem {
      throw .impossible(key: "attn.num_heads", reason: problem)
    }
  }

  /// What `attn` says: nothing where it is null, every other layer where it is absent.
  private static func attention(_ keys: ModelKeys, depth: Int) -> HybridAttention? {
    if keys.isNull("attn") { return nil }
    if let attention = HybridAttention(keys, depth: depth) { return attention }
    let usual: JSONValue = [
      "num_heads": 18, "num_kv_heads": 18, "window_size": .integer(usualWindow),
    ]
    let layers = Array(stride(from: 1, to: min(depth, 18), by: 2))
    return layers.isEmpty
      ? nil
      : HybridAttention(
        layers: layers, settings: AttentionSettings(ModelKeys(usual), isHybrid: true))
  }

  var configuration: [String: JSONValue] {
    var own: [String: JSONValue] = [
      "architectures": ["SambaForCausalLM"], "model_type": "samba",
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth), "hidden_ratio": .whole(hiddenRatio),
      "hidden_act": "silu",
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding), "attn": .null,
    ]
    if let attention { own["attn"] = attention.configuration }
    return own.merging(settings.configuration) { $1 }.merging(norms.configuration) { $1 }
  }

  /// 1.
  var embeddingScale: Float { 1 }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("backbone.embeddings.weight", "backbone.norm_f.weight", "lm_head.weight")
  }

  /// `256 · ⌈⌊D · ratio · 2/3⌋ / 256⌉`.
  private var channelWidth: Int {
    (Int(Double(dimension) * hiddenRatio * 2 / 3) + 255) / 256 * 256
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.layers.\(layer)."
    func around(_ norm: String, _ builder: inout ModelBuilder) -> Block.Norms {
      norms.around(
        builder.norm(prefix + norm + ".weight", width: dimension, epsilon: normEpsilon),
        block: layer, depth: depth)
    }
    let mixerNorms = around("mixer_norm", &builder)
    let place = MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
      name: prefix + "mixer.")
    let mixer: any TokenMixer
    if let attention, attention.layers.contains(layer) {
      mixer = AttentionMixer(attention.settings, at: place, &builder)
    } else {
      mixer = MambaMixer(settings, at: place, &builder)
    }
    let channelNorms = around("mlp_norm", &builder)
    let (name, width) = (prefix + "mlp.", channelWidth)
    let channels = SwiGLU(
      gate: builder.linear(name + "gate_proj", width, dimension),
      up: builder.linear(name + "up_proj", width, dimension),
      down: builder.linear(name + "down_proj", dimension, width))
    return Block(
      region: region, mixer: mixer, norms: mixerNorms, channels: (channels, channelNorms))
  }
}
