import Configuration
import SequenceParallel
import Tensors

/// A version of RWKV: its mixer, and what its skeleton has beside those of other versions.
protocol RWKVFamily: FlashMixer {
  /// What a run file says of the skeleton.
  static func outer(_ section: ModelSection) -> RWKVOuterKeys
  /// What a `config.json` says of the skeleton.
  static func outer(_ keys: ModelKeys) -> RWKVOuterKeys
  /// The channel mixer of a layer.
  ///
  /// - Parameters:
  ///   - place: Where it stands; its tensors' names begin with the place's.
  ///   - width: Its inner width.
  func channels(
    at place: MixerPlace, width: Int, shift: TokenShift, _ builder: inout ModelBuilder
  ) -> ShiftedChannels
}

/// What a version of RWKV says of the model around its layers.
struct RWKVOuterKeys {
  /// Whether the embedding is normalised before block 0; whether the layer norms have biases.
  let isNormFirst, hasNormBias: Bool
  /// Whether the gradient of each position's largest logit gets a part of it; nil where the version knows of no such thing.
  let hasPenalty: Bool?

  /// Its keys of `config.json`.
  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = [
      "norm_first": .bool(isNormFirst), "norm_bias": .bool(hasNormBias),
    ]
    if let hasPenalty { keys["use_l2warp"] = .bool(hasPenalty) }
    return keys
  }
}

/// A model in RWKV's skeleton: layer norms, and a channel mixer that sees the token before; in a hybrid some layers are
/// softmax attention or of another family, with the channel mixer of the main one.
///
/// Concretely: in block 0 `x = ln(x)` where norms come first; `x += mixer(ln(x))`, `x += channels(ln(x))`.
struct RWKVModel<Version: RWKVFamily>: HybridArchitecture {
  static var family: any FlashMixer.Type { Version.self }
  static var mixers: [String] { Version.names }
  static var modelType: String { Version.name }
  static var card: ModelCard { Version.card }
  static var sharedKeys: Set<String> { Version.keys.union(["tie_embeddings"]) }
  static var ignoredKeys: Set<String> { Version.ignoredKeys }
  static var section: (any ConfigurationSection.Type)? { Version.section }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let hiddenRatio: Double
  /// Width of the channel mixer, or nil for what follows from `hiddenRatio`.
  let intermediate: Int?
  let norms: NormPlacement
  let outer: RWKVOuterKeys
  let main: Version
  /// What each layer's mixer is.
  let layers: FlashLayers

  static func problems(_ section: ModelSection) -> [KeyProblem] { layerProblems(section) }

  init(_ section: ModelSection, vocabulary: Int) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    hiddenRatio = Version.hiddenRatio
    intermediate = section.glu > 0 ? section.glu : nil
    norms = NormPlacement(section)
    outer = Version.outer(section)
    main = Version(section)
    layers = FlashLayers(section, main: main)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: Version.depth)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    hiddenRatio = keys.ratio("hidden_ratio", default: Version.hiddenRatio)
    intermediate = keys.optionalPositive("intermediate_size")
    keys.require("hidden_act", "sqrelu")
    norms = NormPlacement(keys)
    outer = Version.outer(keys)
    main = Version(keys, dimension: dimension)
    layers = FlashLayers(keys, main: main, depth: depth, dimension: dimension)
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  var configuration: [String: JSONValue] {
    var common: [String: JSONValue] = [
      "architectures": [.string(Version.className + "ForCausalLM")],
      "model_type": .string(Version.name),
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth),
      "hidden_ratio": .whole(hiddenRatio),
      "intermediate_size": .optional(intermediate), "hidden_act": "sqrelu",
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    for keys in [
      outer.configuration, norms.configuration, layers.configuration, main.configuration,
    ] {
      common.merge(keys) { $1 }
    }
    return common
  }

  /// 1.
  var embeddingScale: Float { 1 }
  var largestLogitPenalty: Double { outer.hasPenalty == true ? 1e-4 : 0 }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("model.embeddings.weight", "model.norm.weight", "lm_head.weight")
  }

  /// `32 · ⌈⌊D · ratio⌋ / 32⌉`, unless it is given.
  var channelWidth: Int {
    intermediate ?? (Int(Double(dimension) * hiddenRatio) + 31) / 32 * 32
  }

  private func norm(_ name: String, _ builder: inout ModelBuilder) -> LayerNorm {
    builder.layerNorm(name, columns: dimension, bias: outer.hasNormBias, epsilon: normEpsilon)
  }

  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    norm("model.norm", &builder)
  }

  func addShared(_ builder: inout ModelBuilder) { layers.addShared(&builder) }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "model.layers.\(layer)."
    func around(_ name: String, _ builder: inout ModelBuilder) -> Block.Norms {
      norms.around(norm(prefix + name, &builder), block: layer, depth: depth)
    }
    func place(_ name: String) -> MixerPlace {
      MixerPlace(
        layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon, name: prefix + name)
    }
    // Parameters lie in the order in which they are added.
    let entry = layer == 0 && outer.isNormFirst ? norm(prefix + "pre_norm", &builder) : nil
    let mixerNorms = around("attn_norm", &builder)
    let tokenMixer = layers.mixer(at: place("attn."), &builder)
    let channelNorms = around("ffn_norm", &builder)
    // Halos from 0 on are the mixer's.
    let shift = TokenShift(slot: CarrySlot(layer: layer, .halo(3)))
    let channels = main.channels(
      at: place("ffn."), width: channelWidth, shift: shift, &builder)
    return Block(
      region: region, entry: entry, mixer: tokenMixer, norms: mixerNorms,
      channels: (channels, channelNorms))
  }
}
