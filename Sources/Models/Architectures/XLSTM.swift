import Configuration
import Foundation
import Kernels

/// xLSTM with mLSTM blocks: exponential input gates, a matrix memory and its normaliser, held below a running maximum.
///
/// - Source: arXiv 2405.04517, and xLSTM 7B (2503.13427), in whose layout its folders are.
struct XLSTM: Architecture {
  static let mixers = ["xlstm"]
  static let modelType = "xlstm"
  static let card = ModelCard(
    "xLSTM (mLSTM)", recurrence: "scalar decay, exponential input gates",
    papers: ["2405.04517", "2503.13427"])
  static let sharedKeys: Set<String> = ["bias", "expand_k", "expand_v"]
  /// Which kernels compute it and in what numbers; what the makers' program does not look at.
  static let ignoredKeys: Set<String> = [
    "mode", "chunkwise_kernel", "sequence_kernel", "step_kernel", "chunk_size",
    "return_last_states", "autocast_kernel_dtype", "inference_state_dtype",
    "max_inference_chunksize",
    "add_out_norm", "tie_word_embeddings",
  ]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.xlstm` section.
  struct Keys: ConfigurationSection {
    static let name = "model.xlstm"
    static let documentation = "What only xLSTM has."

    @Key(
      "gate_soft_cap", above: 0, "What input and forget gates are kept within before anything else."
    )
    var gateCap = 15.0

    @Key("output_logit_soft_cap", above: 0, "What logits are kept within.")
    var logitCap = 30.0

    init() {}
  }

  /// How a folder names the projections of a layer.
  enum WeightMode: String {
    /// Each is a tensor of its own.
    case single
    /// Those of one input are one tensor.
    case fused
  }

  let dimension, depth, vocabulary: Int
  let heads: HeadSplit
  let keyFactor, valueFactor: Double
  let hasBias: Bool
  let normEpsilon, epsilon: Float
  let gateCap, logitCap: Double
  let channelFactor: Double
  let channelMultiple: Int
  /// Width of the channel mixer where a run file says it; else it follows from the factor.
  let ownChannelWidth: Int?
  let mode: WeightMode

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    var found: [KeyProblem] = []
    if let problem = XLSTM(section, vocabulary: 2).problem {
      found.append(KeyProblem("heads", "dimension", message: problem))
    }
    if section.hasAttentionLayers {
      found.append(
        KeyProblem(
          "layers",
          message: "the mixer xlstm has no attention layers beside it; choose another mixer"))
    }
    if section.norm != .pre {
      found.append(
        KeyProblem("norm", message: "the mixer xlstm has norms before its layers; use pre"))
    }
    return found + section.unread(by: "xlstm", reading: sharedKeys)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    (keyFactor, valueFactor) = (section.expandKey ?? 0.5, section.expandValue ?? 1)
    heads = Self.split(dimension, section.heads, keyFactor, valueFactor)
    hasBias = section.bias
    (normEpsilon, epsilon) = (1e-6, 1e-6)
    (gateCap, logitCap) = (keys.gateCap, keys.logitCap)
    (channelFactor, channelMultiple) = (2.667, 64)
    ownChannelWidth = section.glu > 0 ? section.glu : nil
    mode = .single
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    dimension =
      keys.optionalPositive("hidden_size") ?? keys.optionalPositive("embedding_dim") ?? 4096
    depth = keys.depth("num_hidden_layers", default: keys.depth("num_blocks", default: 32))
    vocabulary = keys.positive("vocab_size", default: 50304)
    keyFactor = keys.ratio("qk_dim_factor", default: 0.5)
    valueFactor = keys.ratio("v_dim_factor", default: 1)
    heads = Self.split(
      dimension, keys.positive("num_heads", default: 8), keyFactor, valueFactor)
    hasBias = keys.boolean("use_bias", default: false)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-6)
    epsilon = keys.epsilon("eps", default: 1e-6)
    gateCap = keys.positiveNumber("gate_soft_cap", default: 15)
    logitCap = keys.positiveNumber("output_logit_soft_cap", default: 30)
    channelFactor = keys.ratio("ffn_proj_factor", default: 2.667)
    channelMultiple = keys.positive("ffn_round_up_to_multiple_of", default: 64)
    ownChannelWidth = nil
    mode = keys.choice(
      "weight_mode", default: "single", of: [("single", .single), ("fused", .fused)])
    if let embedding = keys.optionalPositive("embedding_dim"), embedding != dimension {
      keys.refuse("embedding_dim", "\(embedding) is not hidden_size, \(dimension)")
    }
    if let blocks = keys.optionalPositive("num_blocks"), blocks != depth {
      keys.refuse("num_blocks", "\(blocks) is not num_hidden_layers, \(depth)")
    }
    if let problem { throw .impossible(key: "num_heads", reason: problem) }
  }

  private static func split(
    _ dimension: Int, _ heads: Int, _ keyFactor: Double, _ valueFactor: Double
  ) -> HeadSplit {
    HeadSplit(
      heads: heads, keyWidth: Int(Double(dimension) * keyFactor),
      valueWidth: Int(Double(dimension) * valueFactor))
  }

  /// Why its sizes cannot be, and what to do; nil where they can.
  private var problem: String? {
    for (name, width) in [("keys", heads.keyWidth), ("values", heads.valueWidth)] {
      if width < heads.heads || width % heads.heads != 0 {
        return "\(heads.heads) heads do not divide the \(name)' width of \(width); "
          + "choose a divisor of \(width), or another width"
      }
      if width / heads.heads > MLSTMRecurrence.greatest {
        return "\(heads.heads) heads cut the \(name) into \(width / heads.heads) numbers each, and "
          + "\(MLSTMRecurrence.greatest) is the most; use more heads"
      }
    }
    return nil
  }

  var configuration: [String: JSONValue] {
    // A width of its own is written as the factor that gives it exactly.
    let factor = ownChannelWidth.map { (Double($0) / Double(dimension), 1) }
    return [
      "architectures": ["xLSTMForCausalLM"], "model_type": "xlstm",
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "embedding_dim": .integer(dimension), "num_hidden_layers": .integer(depth),
      "num_blocks": .integer(depth), "num_heads": .integer(heads.heads),
      "qk_dim_factor": .number(keyFactor), "v_dim_factor": .number(valueFactor),
      "use_bias": .bool(hasBias), "norm_eps": .number(Double("\(normEpsilon)") ?? 1e-6),
      "eps": .number(Double("\(epsilon)") ?? 1e-6), "gate_soft_cap": .number(gateCap),
      "output_logit_soft_cap": .number(logitCap),
      "ffn_proj_factor": .number(factor?.0 ?? channelFactor),
      "ffn_round_up_to_multiple_of": .integer(factor?.1 ?? channelMultiple),
      "weight_mode": .string(mode.rawValue), "tie_word_embeddings": false,
    ]
  }

  /// 1.
  var embeddingScale: Float { 1 }
  let tiesEmbedding = false
  var logitSoftCap: Float? { Float(logitCap) }
  /// `√(2 / 5d)`, whatever a run file says: small enough for deep models.
  ///
  /// - Source: Nguyen and Salazar (arXiv 1910.05895), section 2.2.
  var initialDeviation: Double { (2 / (5 * Double(dimension))).squareRoot() }

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
      layer: layer, dimension: dimension, epsilon: normEpsilon, name: prefix + "mlstm_layer.")
    let mixer = MLSTMMixer(self, at: place, &builder)
    let channelNorm = norm("norm_ffn", &builder)
    let (name, width) = (prefix + "ffn.", channelWidth)
    let up = projections(
      mode == .single ? nil : name + "proj_up_gate_z",
      [(name + "proj_up_gate", width), (name + "proj_up", width)], &builder)
    let channels = SwiGLU(
      gate: up[0], up: up[1],
      down: builder.linear(
        name + "proj_down", dimension, width, bias: hasBias,
        initialization: .normal(deviation: Self.outputDeviation(width, depth))))
    return Block(
      region: region, mixer: mixer, norms: .pre(mixerNorm), channels: (channels, .pre(channelNorm)))
  }

  /// Projections of the residual stream: tensors of their own, or one of the name `fused`.
  func projections(
    _ fused: String?, _ parts: [(name: String, output: Int)], _ builder: inout ModelBuilder
  ) -> [Linear] {
    if let fused {
      return builder.fused(
        fused, parts: parts.map { (String($0.name.split(separator: ".").last!), $0.output) },
        input: dimension, bias: hasBias)
    }
    return parts.map { builder.linear($0.name, $0.output, dimension, bias: hasBias) }
  }

  /// `2 / (L √width)`, of what adds to the residual stream.
  static func outputDeviation(_ width: Int, _ depth: Int) -> Double {
    2 / (Double(depth) * Double(width).squareRoot())
  }
}
