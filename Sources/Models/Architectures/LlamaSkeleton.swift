import Configuration

/// What Llama, and the models after it, have around their token mixers.
///
/// Concretely: `x += mixer(rms(x))`, `x += W_down(silu(y W_gate) ⊙ y W_up)` with `y = rms(x)`; then `rms` and the head. The
/// tensors are those of Hugging Face's transformers: `model.layers.i.input_layernorm`, `self_attn`,
/// `post_attention_layernorm`, `mlp`.
struct LlamaSkeleton: Sendable {
  let dimension, depth, vocabulary: Int
  /// Width of the channel mixer, or of an expert.
  let channelWidth: Int
  /// Width of the channel mixer where it is not that; nil where it is.
  var ownChannelWidth: Int?
  /// Whether the channel mixer's projections have biases.
  let hasChannelBias: Bool
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  /// Tokens of the longest sequence it was made for, which scaled positions refer to.
  let length: Int
  let norms: NormPlacement
  /// Which layers have experts instead of the channel mixer; nil for none.
  var experts: ExpertLayers?
  var names = Names()
  /// Whether the norms' weights are stored as what they differ from 1 by.
  var hasZeroCentredNorms = false
  /// What the file calls `length`.
  var lengthKey = Self.usualLengthKey

  static let usualLengthKey = "max_position_embeddings"

  /// What tensors are called, where makers differ.
  struct Names {
    /// The norm before the channel mixer.
    var channelNorm = "post_attention_layernorm"
    /// Before the names of the channel mixer's tensors.
    var channels = "mlp."
    /// The tensors of the channel mixer where its first two projections are one; nil where each has its own.
    var fusedChannels: (input: String, output: String)?
    /// The norm before the head.
    var outerNorm = "model.norm"
  }

  /// How what a layer gives joins the residual stream.
  enum Residual: Equatable {
    /// `x + f(norm(x))`, or where norms are placed otherwise.
    case plain
    /// `x + factor · f(norm(x))`.
    case scaled(Float)
    /// `kept · y + added · f(y)` with `y = norm(x)`.
    case renewed(kept: Float, added: Float)
  }

  /// Sizes where a `config.json` does not say them.
  struct Defaults {
    var dimension = 4096
    var channelWidth = 11008
    var depth = 32
    var vocabulary = 32000
    var length = 2048
    var epsilon = 1e-6
    var rotaryBase = 10_000.0
    var heads = 32
    /// Nil for as many as there are heads.
    var keyValueHeads: Int?
  }

  /// What a run file describes.
  init(_ section: ModelSection, vocabulary: Int, hasChannelBias: Bool) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    // Llama's own rule: two thirds of four times the width, in steps of 256.
    channelWidth =
      section.glu > 0 ? section.glu : (section.dimension * 8 / 3 + 255) / 256 * 256
    self.hasChannelBias = hasChannelBias
    initialDeviation = section.initStd
    normEpsilon = 1e-6
    tiesEmbedding = section.tieEmbeddings
    length = section.sequenceLength
    norms = NormPlacement(section)
  }

  /// What a `config.json` describes.
  ///
  /// - Parameter mayHaveBias: Whether the family reads `mlp_bias`.
  init(
    _ keys: ModelKeys, default usual: Defaults, mayHaveBias: Bool,
    lengthKey: String = Self.usualLengthKey
  ) {
    dimension = keys.positive("hidden_size", default: usual.dimension)
    depth = keys.depth("num_hidden_layers", default: usual.depth)
    vocabulary = keys.positive("vocab_size", default: usual.vocabulary)
    channelWidth = keys.positive("intermediate_size", default: usual.channelWidth)
    hasChannelBias = mayHaveBias && keys.boolean("mlp_bias", default: false)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("rms_norm_eps", default: usual.epsilon)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    let length = keys.integer(lengthKey, default: usual.length)
    if length < 1 { keys.refuse(lengthKey, "\(length) is not positive") }
    self.length = max(length, 1)
    self.lengthKey = lengthKey
    norms = NormPlacement(keys)
  }

  /// Its keys of `config.json`.
  var configuration: [String: JSONValue] {
    let keys: [String: JSONValue] = [
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "intermediate_size": .integer(channelWidth), "num_hidden_layers": .integer(depth),
      "hidden_act": "silu", lengthKey: .integer(length),
      "rms_norm_eps": .shortest(normEpsilon), "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    return keys.merging(norms.configuration) { $1 }.merging(experts?.configuration ?? [:]) { $1 }
  }

  /// A block around a token mixer, whose tensors' names begin with `model.layers.i.self_attn.` where nothing else is said.
  func block(
    _ layer: Int, region: Int, _ builder: inout ModelBuilder, name: String = "self_attn.",
    residuals: (mixer: Residual, channels: Residual) = (.plain, .plain),
    mixer: (MixerPlace, inout ModelBuilder) -> any TokenMixer
  ) -> Block {
    let prefix = "model.layers.\(layer)."
    func around(
      _ name: String, _ residual: Residual, _ builder: inout ModelBuilder
    ) -> Block.Norms {
      let norm = norm(prefix + name, &builder)
      return switch residual {
      case .plain, .scaled(1): norms.around(norm, block: layer, depth: depth)
      case .scaled(let factor): .scaled(norm, factor: factor)
      case .renewed(let kept, let added): .renewed(norm, kept: kept, added: added)
      }
    }
    // Parameters lie in the order in which they are added.
    let mixerNorms = around("input_layernorm", residuals.mixer, &builder)
    let tokenMixer = mixer(
      MixerPlace(
        layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
        name: prefix + name),
      &builder)
    let channelNorms = around(names.channelNorm, residuals.channels, &builder)
    return Block(
      region: region, mixer: tokenMixer, norms: mixerNorms,
      channels: (channels(layer, prefix, &builder), channelNorms))
  }

  /// A norm of the residual stream.
  func norm(_ name: String, _ builder: inout ModelBuilder) -> Norm {
    builder.norm(
      name + ".weight", width: dimension, epsilon: normEpsilon, isZeroCentred: hasZeroCentredNorms)
  }

  private func channels(
    _ layer: Int, _ prefix: String, _ builder: inout ModelBuilder
  ) -> any ChannelMixer {
    if let experts, experts.hasExperts[layer] {
      return builder.experts(
        prefix + experts.layout.prefix, experts.settings, layer: layer, dimension: dimension,
        width: channelWidth, names: experts.layout.names)
    }
    return builder.gated(
      prefix + names.channels, dimension: dimension, width: ownChannelWidth ?? channelWidth,
      bias: hasChannelBias, fused: names.fusedChannels)
  }
}

/// An architecture in Llama's skeleton.
protocol LlamaArchitecture: Architecture {
  var skeleton: LlamaSkeleton { get }
}

extension LlamaArchitecture {
  var dimension: Int { skeleton.dimension }
  var depth: Int { skeleton.depth }
  var vocabulary: Int { skeleton.vocabulary }
  var initialDeviation: Double { skeleton.initialDeviation }
  var normEpsilon: Float { skeleton.normEpsilon }
  var tiesEmbedding: Bool { skeleton.tiesEmbedding }
  /// 1.
  var embeddingScale: Float { 1 }
  var outerNames: (embedding: String, norm: String?, head: String) {
    ("model.embed_tokens.weight", skeleton.names.outerNorm + ".weight", "lm_head.weight")
  }

  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    skeleton.norm(skeleton.names.outerNorm, &builder)
  }
}
