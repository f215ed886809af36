import Configuration
import Kernels

/// Mamba-2: blocks of one mixer each, without channel mixers, so that `model.glu` has nothing to say.
///
/// - Source: arXiv 2405.21060; flash-linear-attention's layout.
struct Mamba2: Architecture {
  static let mixers = ["mamba2"]
  static let modelType = "mamba2"
  static let card = ModelCard(
    "Mamba-2", recurrence: "scalar decay", papers: ["2405.21060"])
  static let sharedKeys: Set<String> = ["bias", "tie_embeddings"]
  /// What weights begin with, how they were cut for other kernels, and what other programs cast.
  static let ignoredKeys: Set<String> = [
    "A_init_range", "conv_init", "dt_min", "dt_max", "dt_init_floor", "rescale_prenorm_residual",
    "residual_in_fp32", "chunk_size",
  ]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.mamba2` section.
  struct Keys: ConfigurationSection {
    static let name = "model.mamba2"
    static let documentation = "What only Mamba-2 has."

    @Key("expand", from: 1, "Width of all heads' values over dimension.")
    var expand = 2

    @Key("state_size", from: 1, through: 256, "Width of keys and queries.")
    var stateSize = 128

    @Key("groups", from: 1, "Keys and queries that there are; neighbouring heads share them.")
    var groups = 1

    @Key("conv_kernel", from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("norm_before_gate", "Whether outputs are normalised before they are gated.")
    var isNormFirst = false

    init() {}
  }

  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let expand: Double
  let size: Mamba2Size
  let taps: Int
  let hasBias, hasConvolutionBias, skipsChannels: Bool
  let gating: Mamba2Mixer.Gating
  /// The least and the greatest step.
  let limits: ClosedRange<Double>
  let norms: NormPlacement

  /// Sizes that do not fit each other, keys that it does not have.
  static func problems(_ section: ModelSection) -> [KeyProblem] {
    var found: [KeyProblem] = []
    let keys = section.subsections[Keys.self]
    let inner = keys.expand * section.dimension
    if inner % section.heads != 0 || inner < section.heads {
      found.append(
        KeyProblem(
          "heads", "dimension",
          message: "\(section.heads) heads do not divide an inner width of \(inner); "
            + "choose a divisor of \(inner), or another width"))
    } else if let problem = Self.size(section).problem {
      found.append(KeyProblem("heads", "model.mamba2.groups", message: problem.reason))
    }
    if section.hasAttentionLayers {
      found.append(
        KeyProblem(
          "layers",
          message: "the mixer mamba2 has no attention layers beside it; choose another mixer"))
    }
    return found + section.unread(by: "mamba2", reading: sharedKeys)
  }

  private static func size(_ section: ModelSection) -> Mamba2Size {
    let keys = section.subsections[Keys.self]
    let inner = keys.expand * section.dimension
    return Mamba2Size(
      inner: inner, headWidth: max(inner / section.heads, 1), stateSize: keys.stateSize,
      groups: keys.groups)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    expand = Double(keys.expand)
    size = Self.size(section)
    taps = keys.taps
    (hasBias, hasConvolutionBias, skipsChannels) = (section.bias, true, false)
    gating = keys.isNormFirst ? .afterNorm : .beforeNorm
    limits = 0...(.infinity)
    norms = NormPlacement(section)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: 48)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    expand = keys.ratio("expand", default: 2)
    size = Mamba2Size(
      inner: Int(Double(dimension) * expand), headWidth: keys.positive("head_dim", default: 64),
      stateSize: keys.positive("state_size", default: 128),
      groups: keys.positive("n_groups", default: 1))
    taps = keys.positive("conv_kernel", default: 4)
    if taps > 8 { keys.refuse("conv_kernel", "\(taps) taps are more than 8") }
    hasBias = keys.boolean("use_bias", default: false)
    hasConvolutionBias = keys.boolean("use_conv_bias", default: true)
    skipsChannels = keys.boolean("D_has_hdim", default: false)
    let isNormed = keys.boolean("rmsnorm", default: true)
    let isNormFirst = keys.boolean("norm_before_gate", default: false)
    gating = isNormed ? (isNormFirst ? .afterNorm : .beforeNorm) : .withoutNorm
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    limits = keys.range("dt_limit", default: 0...(.infinity))
    norms = NormPlacement(keys)
    if let heads = keys.optionalPositive("num_heads"), heads != size.heads {
      keys.refuse(
        "num_heads",
        "\(heads) heads of \(size.headWidth) are not an inner width of \(size.inner)")
    }
    if let problem = size.problem { throw .impossible(key: problem.key, reason: problem.reason) }
  }

  var configuration: [String: JSONValue] {
    var values: [String: JSONValue] = [
      "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2",
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth),
      "expand": .whole(expand),
      "head_dim": .integer(size.headWidth), "num_heads": .integer(size.heads),
      "state_size": .integer(size.stateSize), "n_groups": .integer(size.groups),
      "conv_kernel": .integer(taps), "use_bias": .bool(hasBias),
      "use_conv_bias": .bool(hasConvolutionBias), "D_has_hdim": .bool(skipsChannels),
      "rmsnorm": .bool(gating != .withoutNorm), "norm_before_gate": .bool(gating == .afterNorm),
      "hidden_act": "silu",
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    // The default's infinity is no number of JSON, so it is left out.
    if limits != 0...(.infinity) {
      values["dt_limit"] = .array(
        [limits.lowerBound, min(limits.upperBound, Double(Float.greatestFiniteMagnitude))].map {
          .number($0)
        })
    }
    return values.merging(norms.configuration) { $1 }
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
      region: region, mixer: Mamba2Mixer(self, at: place, &builder),
      norms: norms.around(norm, block: layer, depth: depth))
  }
}
