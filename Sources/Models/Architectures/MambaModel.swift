import Configuration

/// A model in Mamba's skeleton: blocks of one mixer each, without channel mixers, so that `model.glu` has nothing to say;
/// in a hybrid some layers are softmax attention or of another family.
///
/// Concretely: `x += mixer(rms(x))`.
///
/// - Source: arXiv 2312.00752, section 3.4; flash-linear-attention's layout.
struct MambaModel<Mixer: FlashMixer>: HybridArchitecture {
  static var family: any FlashMixer.Type { Mixer.self }
  static var mixers: [String] { Mixer.names }
  static var modelType: String { Mixer.name }
  static var card: ModelCard { Mixer.card }
  static var sharedKeys: Set<String> { Mixer.keys.union(["tie_embeddings"]) }
  static var ignoredKeys: Set<String> { Mixer.ignoredKeys }
  static var section: (any ConfigurationSection.Type)? { Mixer.section }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let norms: NormPlacement
  /// What each layer's mixer is.
  let layers: FlashLayers

  static func problems(_ section: ModelSection) -> [KeyProblem] { layerProblems(section) }

  init(_ section: ModelSection, vocabulary: Int) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    norms = NormPlacement(section)
    layers = FlashLayers(section, main: Mixer(section))
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: Mixer.depth)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    norms = NormPlacement(keys)
    layers = FlashLayers(
      keys, main: Mixer(keys, dimension: dimension), depth: depth, dimension: dimension)
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  var configuration: [String: JSONValue] {
    var common: [String: JSONValue] = [
      "architectures": [.string(Mixer.className + "ForCausalLM")],
      "model_type": .string(Mixer.name), "vocab_size": .integer(vocabulary),
      "hidden_size": .integer(dimension), "num_hidden_layers": .integer(depth),
      "hidden_act": "silu",
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
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

  func addShared(_ builder: inout ModelBuilder) { layers.addShared(&builder) }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.layers.\(layer)."
    let norm = builder.norm(prefix + "norm.weight", width: dimension, epsilon: normEpsilon)
    let place = MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
      name: prefix + "mixer.")
    return Block(
      region: region, mixer: layers.mixer(at: place, &builder),
      norms: norms.around(norm, block: layer, depth: depth))
  }
}
