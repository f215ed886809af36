import Configuration
import Foundation

/// A model of flash-linear-attention: the skeleton that its families share around one mixer; in a hybrid some layers
/// are softmax attention or of another family.
///
/// Concretely: `x += mixer(rms(x))`, `x += W_down(silu(y W_gate) ⊙ y W_up)` with `y = rms(x)`.
struct FlashModel<Mixer: FlashMixer>: FlashArchitecture {
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
  let hiddenRatio: Double
  /// Width of the channel mixer, or nil for what follows from `hiddenRatio`.
  let intermediate: Int?
  let norms: NormPlacement
  /// What each layer's mixer is.
  let layers: FlashLayers

  init(_ section: ModelSection, vocabulary: Int) {
    dimension = section.dimension
    depth = section.depth
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-6
    tiesEmbedding = section.tieEmbeddings
    hiddenRatio = Mixer.hiddenRatio
    intermediate = section.glu > 0 ? section.glu : nil
    norms = NormPlacement(section)
    layers = FlashLayers(section, main: Mixer(section))
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: Mixer.depth)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-6)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    hiddenRatio = keys.ratio("hidden_ratio", default: Mixer.hiddenRatio)
    intermediate = keys.optionalPositive("intermediate_size")
    keys.choice("hidden_act", default: "swish", of: [("swish", ()), ("silu", ())])
    norms = NormPlacement(keys)
    layers = FlashLayers(
      keys, main: Mixer(keys, dimension: dimension), depth: depth, dimension: dimension)
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] { layerProblems(section) }

  var configuration: [String: JSONValue] {
    var common: [String: JSONValue] = [
      "architectures": [.string(Mixer.className + "ForCausalLM")],
      "model_type": .string(Mixer.name), "vocab_size": .integer(vocabulary),
      "hidden_size": .integer(dimension), "num_hidden_layers": .integer(depth),
      "hidden_ratio": .whole(hiddenRatio),
      "intermediate_size": .optional(intermediate), "hidden_act": "swish",
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
    ("model.embeddings.weight", "model.norm.weight", "lm_head.weight")
  }

  /// `256 · ⌈⌊D · ratio · 2/3⌋ / 256⌉`, unless it is given.
  var channelWidth: Int {
    intermediate ?? (Int(Double(dimension) * hiddenRatio * 2 / 3) + 255) / 256 * 256
  }

  func addShared(_ builder: inout ModelBuilder) { layers.addShared(&builder) }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "model.layers.\(layer)."
    let name = prefix + "mlp."
    func around(_ norm: String, _ builder: inout ModelBuilder) -> Block.Norms {
      norms.around(
        builder.norm(prefix + norm + ".weight", width: dimension, epsilon: normEpsilon),
        block: layer, depth: depth)
    }
    // Parameters lie in the order in which they are added.
    let mixerNorms = around("attn_norm", &builder)
    let tokenMixer = layers.mixer(
      at: MixerPlace(
        layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
        name: prefix + "attn."),
      &builder)
    let channelNorms = around("mlp_norm", &builder)
    let channels = SwiGLU(
      gate: builder.linear(name + "gate_proj", channelWidth, dimension),
      up: builder.linear(name + "up_proj", channelWidth, dimension),
      down: builder.linear(name + "down_proj", dimension, channelWidth))
    return Block(
      region: region, mixer: tokenMixer, norms: mixerNorms, channels: (channels, channelNorms))
  }
}

/// An architecture in flash-linear-attention's skeleton, whatever its family.
protocol FlashArchitecture: HybridArchitecture {}

extension Architectures {
  /// The families of flash-linear-attention's skeleton.
  static var flashMixers: [any FlashMixer.Type] {
    all.compactMap { ($0 as? any FlashArchitecture.Type)?.family }
  }
}
