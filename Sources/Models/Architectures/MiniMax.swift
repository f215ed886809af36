import Configuration
import Kernels

/// MiniMax: Lightning attention, in some layers softmax attention, and experts; what is normalised is what layers are added to.
///
/// Concretely: `y = rms(x)`, `u = α y + β mixer(y)`, `z = rms(u)`, `x = α z + β experts(z)`, with factors by the kind of layer.
///
/// - Source: MiniMax-01 (arXiv 2501.08313); the layout of Hugging Face's transformers.
struct MiniMax: PretrainedHybrid {
  static let name = "minimax"
  static let className = "MiniMax"
  static let card = ModelCard(
    "MiniMax", recurrence: "fixed decay, and softmax attention", papers: ["2501.08313"])
  static let sharedKeys: Set<String> = ["kv_heads", "tie_embeddings", "window"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] { [ExpertsSection.self] }

  /// The run file's `model.minimax` section.
  struct Keys: ConfigurationSection {
    static let name = "model.minimax"
    static let documentation = "What only MiniMax has."

    @Key("head_dimension", .model, from: 2, "Numbers of a head; null = dimension over heads.")
    var headDimension: Int?

    @Key(
      "rotary_dimension", .model, from: 2, "Numbers of a head that positions rotate; null = all.")
    var rotated: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 1_000_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key("full_alpha", .model, "What softmax attention's normalised input is multiplied by.")
    var fullAlpha = 1.0

    @Key("full_beta", .model, "What softmax attention is multiplied by where it is added.")
    var fullBeta = 1.0

    @Key("linear_alpha", .model, "What Lightning attention's normalised input is multiplied by.")
    var linearAlpha = 1.0

    @Key("linear_beta", .model, "What Lightning attention is multiplied by where it is added.")
    var linearBeta = 1.0

    @Key("mlp_alpha", .model, "What the experts' normalised input is multiplied by.")
    var mlpAlpha = 1.0

    @Key("mlp_beta", .model, "What the experts are multiplied by where they are added.")
    var mlpBeta = 1.0

    init() {}
  }

  /// What joins the residual stream, times what.
  struct Factors {
    let full, linear, mlp: LlamaSkeleton.Residual
    let configuration: [String: JSONValue]

    /// α and β of each kind of layer, by the beginnings of their keys.
    init(_ factor: (_ key: String) -> Double) {
      var written: [String: JSONValue] = [:]
      func residual(_ kind: String) -> LlamaSkeleton.Residual {
        let (alpha, beta) = ("\(kind)_alpha_factor", "\(kind)_beta_factor")
        let factors = (factor(alpha), factor(beta))
        (written[alpha], written[beta]) = (.number(factors.0), .number(factors.1))
        return .renewed(kept: Float(factors.0), added: Float(factors.1))
      }
      (full, linear, mlp) = (residual("full_attn"), residual("linear_attn"), residual("mlp"))
      configuration = written
    }
  }

  let skeleton: LlamaSkeleton
  let types: LayerTypes
  let attention: AttentionSettings
  let rotary: RotaryKeys
  let factors: Factors
  /// Tokens of a block of other programs, which stored constants are made for.
  let blockLength: Int

  /// Whether a layer is attention where nothing is said.
  private static func isUsual(_ layer: Int) -> Bool { layer % 2 == 0 }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    var skeleton = LlamaSkeleton(section, vocabulary: vocabulary, hasChannelBias: false)
    skeleton.experts = ExpertLayers(
      .mixtral, section.subsections[ExpertsSection.self], width: skeleton.channelWidth,
      depth: skeleton.depth)
    rotary =
      RotaryKeys.reading(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, length: skeleton.length
      ).keys
    var attention = AttentionSettings(
      heads: section.heads, keyValueHeads: section.keyValueHeads,
      headDimension: keys.headDimension, hasBias: false, hasOutputBias: false, normEpsilon: nil,
      positions: rotary.positions)
    (attention.window, attention.rotated) = (section.window, keys.rotated)
    (self.skeleton, self.attention) = (skeleton, attention)
    types = LayerTypes(section, usual: Self.isUsual)
    let values = [
      "full_attn_alpha_factor": keys.fullAlpha, "full_attn_beta_factor": keys.fullBeta,
      "linear_attn_alpha_factor": keys.linearAlpha, "linear_attn_beta_factor": keys.linearBeta,
      "mlp_alpha_factor": keys.mlpAlpha, "mlp_beta_factor": keys.mlpBeta,
    ]
    factors = Factors { values[$0]! }
    blockLength = 256
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let usual = LlamaSkeleton.Defaults(
      channelWidth: 14336, length: 131_072, epsilon: 1e-5, rotaryBase: 1_000_000, keyValueHeads: 8)
    var skeleton = LlamaSkeleton(keys, default: usual, mayHaveBias: false)
    skeleton.requirePlacement(keys)
    skeleton.experts = ExpertLayers(
      .mixtral, keys, width: skeleton.channelWidth, depth: skeleton.depth)
    rotary = RotaryKeys(keys, length: skeleton.length, base: usual.rotaryBase)
    var attention = AttentionSettings(
      keys, default: usual, positions: rotary.positions)
    attention.window = keys.optionalPositive("sliding_window")
    attention.rotated = keys.optionalPositive("rotary_dim")
    (self.skeleton, self.attention) = (skeleton, attention)
    types = LayerTypes(keys, depth: skeleton.depth, usual: Self.isUsual)
    factors = Factors { keys.number($0, default: 1) }
    blockLength = keys.positive("block_size", default: 256)
    if !keys.boolean("postnorm", default: true) {
      keys.refuse(
        "postnorm", "only true is computed here, where what is normalised is what is added to")
    }
    keys.refuseDropout()
    try attention.check(
      dimension: skeleton.dimension, rotary,
      rotatedBy: attention.rotated == nil ? "head_dim" : "rotary_dim")
    if let problem = headProblem { throw .impossible(key: "num_attention_heads", reason: problem) }
  }

  /// Why Lightning attention cannot have such heads; nil where it can.
  private var headProblem: String? {
    let width = attention.split(dimension).keyDimension
    let most = DiagonalRecurrence.mostValues
    return width > most
      ? "\(width) numbers of a head are more than \(most), the most that Lightning attention takes here"
      : nil
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let model = Self(section, vocabulary: 2)
    let keys = section.subsections[Keys.self]
    let heads =
      model.attention.problem(dimension: model.dimension) ?? model.headProblem
    let positions = RotaryKeys.problems(
      base: keys.rotaryBase, scaling: keys.rotaryScaling, section, in: Keys.name)
    return (heads.map { [KeyProblem("heads", "dimension", message: $0)] } ?? []) + positions
      + placementProblem(section) + ExpertLayout.mixtral.problems(section, of: name)
      + commonProblems(section)
  }

  var ownConfiguration: [String: JSONValue] {
    var own = attention.pretrainedConfiguration(dimension: dimension)
    own["sliding_window"] = .optional(attention.window)
    own["block_size"] = .integer(blockLength)
    if let rotated = attention.rotated { own["rotary_dim"] = .integer(rotated) }
    return own.merging(rotary.configuration) { $1 }.merging(factors.configuration) { $1 }
  }

  func residuals(
    _ layer: Int
  ) -> (mixer: LlamaSkeleton.Residual, channels: LlamaSkeleton.Residual) {
    (types.isAttention[layer] ? factors.full : factors.linear, factors.mlp)
  }

  func attention(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    AttentionMixer(attention, at: place, &builder)
  }

  func recurrence(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    let heads = attention.split(dimension)
    return LightningMixer(
      heads: heads.heads, width: heads.keyDimension, at: place, &builder)
  }

  var constants: [ConstantTensor] {
    types.isAttention.indices.filter { !types.isAttention[$0] }.flatMap { layer in
      LightningMixer.constants(
        heads: attention.heads,
        at: MixerPlace(
          layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
          name: "model.layers.\(layer).\(mixerName(layer))"),
        block: blockLength)
    }
  }

  var notices: [String] {
    attention.rotated.map {
      [
        "rotary_dim: positions rotate the first \($0) numbers of a head, as its makers have it; transformers 5.24 rotates all"
      ]
    } ?? []
  }
}

extension ModelKeys {
  /// Refuses a dropout of attention, which other programs have in training.
  func refuseDropout() {
    let dropout = number("attention_dropout", default: 0)
    if dropout != 0 {
      refuse("attention_dropout", "\(dropout): dropout is not computed here, only 0")
    }
  }
}
