import Configuration

/// xLSTM with mLSTM blocks and a channel mixer each; in a hybrid some layers are softmax attention or of another family.
///
/// - Source: arXiv 2405.04517, and xLSTM 7B (2503.13427), in whose layout its folders are.
struct XLSTM: HybridArchitecture {
  typealias Main = MLSTM

  static let sharedKeys = MLSTM.keys

  let dimension, depth, vocabulary: Int
  let normEpsilon: Float
  /// Whether norms and the channel mixer have biases, as the main family's projections do.
  let hasBias: Bool
  /// Standard deviation of the initial weights, where it is said.
  let ownDeviation: Double?
  let logitCap: Double
  let channelFactor: Double
  let channelMultiple: Int
  /// Width of the channel mixer where a run file says it; else it follows from the factor.
  let ownChannelWidth: Int?
  let mode: MLSTM.WeightMode
  /// What each layer's mixer is.
  let layers: FlashLayers
  /// What stands in the place of channel mixers; nil for themselves.
  let experts: ExpertSettings?

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let norm = KeyProblem(
      "norm", message: "the mixer xlstm has norms before its layers; use pre")
    return (section.norm == .pre ? [] : [norm]) + layerProblems(section)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    normEpsilon = 1e-6
    hasBias = section.bias
    ownDeviation = section.ownInitStd
    logitCap = section.subsections[MLSTM.Keys.self].logitCap
    (channelFactor, channelMultiple) = (2.667, 64)
    ownChannelWidth = section.glu > 0 ? section.glu : nil
    mode = .single
    layers = FlashLayers(section, main: MLSTM(section))
    experts = ExpertSettings(section)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension =
      keys.optionalPositive("hidden_size") ?? keys.optionalPositive("embedding_dim") ?? 4096
    depth = keys.depth(
      "num_hidden_layers", default: keys.depth("num_blocks", default: MLSTM.depth))
    vocabulary = keys.positive("vocab_size", default: 50304)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-6)
    ownDeviation =
      keys.optionalNumber("initializer_range") == nil
      ? nil : keys.deviation("initializer_range", default: 0.02)
    logitCap = keys.positiveNumber("output_logit_soft_cap", default: 30)
    channelFactor = keys.ratio("ffn_proj_factor", default: 2.667)
    channelMultiple = keys.positive("ffn_round_up_to_multiple_of", default: 64)
    ownChannelWidth = nil
    if let embedding = keys.optionalPositive("embedding_dim"), embedding != dimension {
      keys.refuse("embedding_dim", "\(embedding) is not hidden_size, \(dimension)")
    }
    if let blocks = keys.optionalPositive("num_blocks"), blocks != depth {
      keys.refuse("num_blocks", "\(blocks) is not num_hidden_layers, \(depth)")
    }
    let main = MLSTM(keys, dimension: dimension)
    (hasBias, mode) = (main.hasBias, main.mode)
    layers = FlashLayers(keys, main: main, depth: depth, dimension: dimension)
    experts = layers.experts(keys)
    if let problem = layers.problem(dimension: dimension) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  var configuration: [String: JSONValue] {
    // A width of its own is written as the factor that gives it exactly.
    let factor = ownChannelWidth.map { (Double($0) / Double(dimension), 1) }
    var common: [String: JSONValue] = [
      "architectures": [.string(MLSTM.className + "ForCausalLM")],
      "model_type": .string(MLSTM.name),
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "embedding_dim": .integer(dimension), "num_hidden_layers": .integer(depth),
      "num_blocks": .integer(depth), "norm_eps": .shortest(normEpsilon),
      "output_logit_soft_cap": .number(logitCap),
      "ffn_proj_factor": .number(factor?.0 ?? channelFactor),
      "ffn_round_up_to_multiple_of": .integer(factor?.1 ?? channelMultiple),
      "tie_word_embeddings": false,
    ]
    if let ownDeviation { common["initializer_range"] = .number(ownDeviation) }
    for keys in [layers.configuration, layers.main.configuration, experts?.configuration ?? [:]] {
      common.merge(keys) { $1 }
    }
    return common
  }

  static let takesExperts = true

  let tiesEmbedding = false
  var logitSoftCap: Float? { Float(logitCap) }
  /// `√(2 / 5d)` where nothing else is said, small enough for deep models.
  ///
  /// What adds to the residual stream has its own.
  ///
  /// - Source: Nguyen and Salazar (arXiv 1910.05895), section 2.2.
  var initialDeviation: Double { ownDeviation ?? (2 / (5 * Double(dimension))).squareRoot() }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("backbone.embeddings.weight", "backbone.out_norm.weight", "lm_head.weight")
  }

  /// `⌊(factor · d + m − 1) / m⌋ · m`, unless it is given.
  var channelWidth: Int {
    let wanted = channelFactor * Double(dimension) + Double(channelMultiple - 1)
    return ownChannelWidth ?? Int(wanted / Double(channelMultiple)) * channelMultiple
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.blocks.\(layer)."
    func norm(_ name: String, _ builder: inout ModelBuilder) -> any Normalization {
      let norm = builder.norm(
        "\(prefix)\(name).weight", width: dimension, epsilon: normEpsilon)
      guard hasBias else { return norm }
      return ShiftedNorm(
        norm: norm,
        bias: builder.parameter(
          "\(prefix)\(name).bias", [dimension], role: .bias, initialization: .constant(0)))
    }
    let mixerNorm = norm("norm_mlstm", &builder)
    let place = MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
      name: prefix + "mlstm_layer.")
    let mixer = layers.mixer(at: place, &builder)
    let channelNorm = norm("norm_ffn", &builder)
    let (name, width) = (prefix + "ffn.", channelWidth)
    if let experts {
      return Block(
        region: region, mixer: mixer, norms: .pre(mixerNorm),
        channels: (
          builder.experts(name, experts, layer: layer, dimension: dimension, width: width),
          .pre(channelNorm)
        ))
    }
    let up = builder.projections(
      [(name + "proj_up_gate", width), (name + "proj_up", width)],
      fused: mode == .single ? nil : name + "proj_up_gate_z", input: dimension, bias: hasBias)
    let channels = SwiGLU(
      gate: up[0], up: up[1],
      down: builder.linear(
        name + "proj_down", dimension, width, bias: hasBias,
        initialization: .normal(deviation: Self.outputDeviation(width, depth))))
    return Block(
      region: region, mixer: mixer, norms: .pre(mixerNorm), channels: (channels, .pre(channelNorm)))
  }

  /// `2 / (L √width)`, of what adds to the residual stream.
  static func outputDeviation(_ width: Int, _ depth: Int) -> Double {
    2 / (Double(depth) * Double(width).squareRoot())
  }
}
