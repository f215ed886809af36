import Configuration

/// What the models of a main family have in common, whatever skeleton stands around its layers: sizes, where norms stand, and
/// what each layer's mixer is.
struct HybridSkeleton<Main: FlashMixer> {
  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let norms: NormPlacement
  /// The main family.
  let main: Main
  /// What each layer's mixer is.
  let layers: FlashLayers
  /// What stands in the place of channel mixers; nil for themselves.
  let experts: ExpertSettings?

  /// What a run file says.
  init(_ section: ModelSection, vocabulary: Int, epsilon: Float) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = epsilon
    tiesEmbedding = section.tieEmbeddings
    norms = NormPlacement(section)
    main = Main(section)
    layers = FlashLayers(section, main: main)
    experts = ExpertSettings(section)
  }

  /// What a `config.json` says.
  ///
  /// - Parameters:
  ///   - width: `hidden_size` where it has none.
  ///   - epsilon: `norm_eps` where it has none.
  ///   - usual: Which layers are attention where it has no `attn`, in a model of some depth.
  init(
    _ keys: ModelKeys, width: Int = 2048, epsilon: Double,
    usual: (_ depth: Int) -> HybridAttention? = { _ in nil }
  ) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: width)
    depth = keys.depth("num_hidden_layers", default: Main.depth)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: epsilon)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    norms = NormPlacement(keys)
    main = Main(keys, dimension: dimension)
    layers = FlashLayers(
      keys, main: main, depth: depth, dimension: dimension, usual: usual(depth))
    experts = layers.experts(keys)
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  /// The `config.json` of a model, of these keys and those that its own skeleton has.
  func configuration(_ own: [String: JSONValue]) -> [String: JSONValue] {
    var common: [String: JSONValue] = [
      "architectures": [.string(Main.className + "ForCausalLM")],
      "model_type": .string(Main.name), "vocab_size": .integer(vocabulary),
      "hidden_size": .integer(dimension), "num_hidden_layers": .integer(depth),
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    for keys in [
      own, norms.configuration, layers.configuration, main.configuration,
      experts?.configuration ?? [:],
    ] {
      common.merge(keys) { $1 }
    }
    return common
  }

  /// Where a mixer or channel mixer of a layer stands, whose tensors' names begin so.
  func place(_ layer: Int, _ name: String) -> MixerPlace {
    MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon, name: name)
  }

  /// Builds an RMS norm around something of a layer.
  func norms(_ name: String, layer: Int, _ builder: inout ModelBuilder) -> Block.Norms {
    norms.around(
      builder.norm(name + ".weight", width: dimension, epsilon: normEpsilon), block: layer,
      depth: depth)
  }

  /// Builds the gated channel mixer of a layer, without biases, or the experts in its place.
  func channels(
    _ name: String, layer: Int, width: Int, _ builder: inout ModelBuilder
  ) -> any ChannelMixer {
    if let experts {
      return builder.experts(name, experts, layer: layer, dimension: dimension, width: width)
    }
    return SwiGLU(
      gate: builder.linear(name + "gate_proj", width, dimension),
      up: builder.linear(name + "up_proj", width, dimension),
      down: builder.linear(name + "down_proj", dimension, width))
  }
}

/// An architecture that is such a skeleton and little else.
protocol SkeletonArchitecture: HybridArchitecture {
  /// What it has in common with others.
  var skeleton: HybridSkeleton<Main> { get }
}

extension SkeletonArchitecture {
  var dimension: Int { skeleton.dimension }
  var depth: Int { skeleton.depth }
  var vocabulary: Int { skeleton.vocabulary }
  var initialDeviation: Double { skeleton.initialDeviation }
  var normEpsilon: Float { skeleton.normEpsilon }
  var tiesEmbedding: Bool { skeleton.tiesEmbedding }
  var layers: FlashLayers { skeleton.layers }
}
