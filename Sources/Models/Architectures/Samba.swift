import Configuration

/// Samba: selective scans and softmax attention in a window by turns, each with a channel mixer, whose width follows from
/// `hidden_ratio` alone, so that `model.glu` has nothing to say.
///
/// - Source: arXiv 2406.07522; flash-linear-attention's layout.
struct Samba: HybridArchitecture {
  static var family: any FlashMixer.Type { SambaScan.self }
  static let mixers = SambaScan.names
  static let modelType = SambaScan.name
  static let card = SambaScan.card
  static let sharedKeys = SambaScan.keys.union(["kv_heads", "tie_embeddings", "window"])
  static let ignoredKeys = SambaScan.ignoredKeys
  static var section: (any ConfigurationSection.Type)? { SambaScan.section }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let hiddenRatio: Double
  let norms: NormPlacement
  /// What each layer's mixer is.
  let layers: FlashLayers

  /// Tokens that attention sees where nothing else is said.
  private static let usualWindow = 2048

  /// The section with every other layer as attention where it names no layers, and with the usual window.
  private static func completed(_ section: ModelSection) -> ModelSection {
    var section = section
    if section.layers.isEmpty { section.layers = [SambaScan.name, FlashLayers.attention] }
    if section.window == nil, section.layers.contains(FlashLayers.attention) {
      section.window = usualWindow
    }
    return section
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    layerProblems(completed(section))
  }

  init(_ section: ModelSection, vocabulary: Int) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    hiddenRatio = section.subsections[SambaScan.Keys.self].hiddenRatio
    norms = NormPlacement(section)
    layers = FlashLayers(Self.completed(section), main: SambaScan(section))
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2304)
    depth = keys.depth("num_hidden_layers", default: SambaScan.depth)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    hiddenRatio = keys.ratio("hidden_ratio", default: 4)
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    norms = NormPlacement(keys)
    layers = FlashLayers(
      keys, main: SambaScan(keys, dimension: dimension), depth: depth, dimension: dimension,
      usual: Self.usualAttention(depth: depth))
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  /// What a folder without `attn` means: every other of the first 18 layers, which are as many as Samba has.
  private static func usualAttention(depth: Int) -> HybridAttention? {
    let usual: JSONValue = [
      "num_heads": 18, "num_kv_heads": 18, "window_size": .integer(usualWindow),
    ]
    let layers = Array(stride(from: 1, to: min(depth, SambaScan.depth), by: 2))
    return layers.isEmpty
      ? nil
      : HybridAttention(
        layers: layers, settings: AttentionSettings(ModelKeys(usual), isHybrid: true))
  }

  var configuration: [String: JSONValue] {
    var common: [String: JSONValue] = [
      "architectures": [.string(SambaScan.className + "ForCausalLM")],
      "model_type": .string(SambaScan.name),
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth), "hidden_ratio": .whole(hiddenRatio),
      "hidden_act": "silu",
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
      // Its absence would mean the usual layers.
      "attn": .null,
    ]
    for keys in [norms.configuration, layers.configuration, layers.main.configuration] {
      common.merge(keys) { $1 }
    }
    return common
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

  func addShared(_ builder: inout ModelBuilder) { layers.addShared(&builder) }

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
    let mixer = layers.mixer(at: place, &builder)
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
