import Configuration
import Kernels

/// Kimi Linear: Kimi Delta Attention, latent attention without positions in every fourth layer, and experts that sigmoid scores
/// choose, in groups.
///
/// Files have the words of its makers or those of Hugging Face's transformers; each is written as it was read.
///
/// - Source: arXiv 2510.26692; the layout of Hugging Face's transformers.
struct KimiLinear: PretrainedHybrid {
  static let name = "kimi_linear"
  static let className = "KimiLinear"
  static let card = ModelCard(
    "Kimi Linear", recurrence: "delta rule with channel gates, and latent attention",
    papers: ["2510.26692"])
  static var section: (any ConfigurationSection.Type)? { Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] { [ExpertsSection.self] }
  /// There are no positions, and each head's width is said by other keys.
  static let ignoredKeys: Set<String> = [
    "head_dim", "qk_head_dim", "rope_theta", "rope_scaling", "rope_parameters", "rope_interleave",
    "use_grouped_topk", "topk_method", "output_router_logits",
  ]

  private static let defaults = LlamaSkeleton.Defaults(
    dimension: 2304, channelWidth: 9216, depth: 27, vocabulary: 163_840, length: 1_048_576,
    epsilon: 1e-5)
  /// What its makers call the longest sequence.
  private static let lengthKey = "model_max_length"

  /// The run file's `model.kimi_linear` section.
  struct Keys: ConfigurationSection {
    static let name = "model.kimi_linear"
    static let documentation =
      "What only Kimi Linear has; where model.layers is empty every fourth block is attention."

    @Key("latent", .model, from: 1, "Numbers of a token's latent; null = half of dimension.")
    var latent: Int?

    @Key(
      "query_latent", .model, from: 1,
      "Numbers of a latent of which queries are made; null = of the input itself.")
    var queryLatent: Int?

    @Key(
      "head_dimension", .model, from: 1,
      "Numbers of a key that are a head's own; null = dimension over heads.")
    var own: Int?

    @Key(
      "shared_dimension", .model, from: 1,
      "Numbers of a key that all heads share; null = half of a head's own.")
    var shared: Int?

    @Key(
      "value_dimension", .model, from: 1, "Numbers of a value; null = those of a head's own key.")
    var value: Int?

    @Key(
      "attention_bias", .model, "Whether attention's projections to latents and out have biases.")
    var attentionBias = false

    @Key("linear_heads", .model, from: 1, "Heads of the recurrence; null = model.heads.")
    var linearHeads: Int?

    @Key(
      "linear_dimension", .model, from: 1,
      "Numbers of its keys and of its values; null = dimension over heads.")
    var linearDimension: Int?

    @Key("dense_layers", .model, from: 0, "Blocks without experts, from the bottom.")
    var denseLayers = 1

    @Key("shared_experts", .model, from: 0, "Experts that all tokens take beside, as one.")
    var sharedExperts = 1

    @Key("expert_groups", .model, from: 1, "Groups of experts.")
    var groups = 1

    @Key("best_groups", .model, from: 1, "Groups that a token's experts are in.")
    var bestGroups = 1

    @Key(
      "expert_scale", .model, above: 0, "What the weights of a token's experts are multiplied by.")
    var scale = 1.0

    init() {}
  }

  let skeleton: LlamaSkeleton
  let types: LayerTypes
  private let latent: LatentAttentionSettings
  /// Heads of the recurrence.
  private let heads: DeltaHeads
  /// Taps of its convolutions.
  private let taps: Int
  /// The token that fills rows up, as the file has it: where it is absent transformers takes one of a large vocabulary.
  private let padding: JSONValue

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    var skeleton = LlamaSkeleton(section, vocabulary: vocabulary, hasChannelBias: false)
    skeleton.experts = ExpertLayers(
      kimi: section.subsections[ExpertsSection.self], keys, width: skeleton.channelWidth,
      depth: skeleton.depth)
    skeleton.lengthKey = Self.lengthKey
    self.skeleton = skeleton
    let width = max(section.dimension / section.heads, 1)
    let own = keys.own ?? width
    latent = LatentAttentionSettings(
      heads: section.heads, latent: keys.latent ?? max(section.dimension / 2, 1),
      queryLatent: keys.queryLatent, own: own, shared: keys.shared ?? max(own / 2, 1),
      value: keys.value ?? own, hasBias: keys.attentionBias)
    let linear = (heads: keys.linearHeads ?? section.heads, width: keys.linearDimension ?? width)
    heads = DeltaHeads(
      keyHeads: linear.heads, valueHeads: linear.heads, keyDimension: linear.width,
      valueDimension: linear.width)
    taps = 4
    types = LayerTypes(section, usual: { ($0 + 1) % 4 == 0 })
    padding = .null
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    var skeleton = LlamaSkeleton(
      keys, default: Self.defaults, mayHaveBias: false,
      lengthKey: keys.spelling(Self.lengthKey, or: LlamaSkeleton.usualLengthKey))
    if skeleton.tiesEmbedding {
      keys.refuse("tie_word_embeddings", "such models do not tie them; write false")
    }
    skeleton.experts = ExpertLayers(kimi: keys, width: skeleton.channelWidth, depth: skeleton.depth)
    self.skeleton = skeleton
    keys.refuseDropout("attention_dropout")
    if !keys.boolean("mla_use_nope", default: true) {
      keys.refuse("mla_use_nope", "false: rotary positions are not computed here, only true")
    }
    let count = keys.positive("num_attention_heads", default: 32)
    if let keyHeads = keys.optionalPositive("num_key_value_heads"), keyHeads != count {
      keys.refuse(
        "num_key_value_heads",
        "\(keyHeads) heads cannot serve \(count) heads here; each has keys of its own, write \(count)"
      )
    }
    latent = LatentAttentionSettings(
      heads: count, latent: keys.positive("kv_lora_rank", default: 512),
      queryLatent: keys.optionalPositive("q_lora_rank"),
      own: keys.positive("qk_nope_head_dim", default: 128),
      shared: keys.positive("qk_rope_head_dim", default: 64),
      value: keys.positive("v_head_dim", default: 128),
      hasBias: keys.boolean("attention_bias", default: false))
    let own = keys.object("linear_attn_config")
    // The makers' words win for widths, those of transformers for layers.
    func linear(_ makers: String, _ other: String, _ usual: Int) -> Int {
      let outer = keys.positive(other, default: usual)
      return own?.positive(makers, default: outer) ?? outer
    }
    let (linearHeads, width) = (
      linear("num_heads", "linear_num_heads", 32), linear("head_dim", "linear_head_dim", 128)
    )
    heads = DeltaHeads(
      keyHeads: linearHeads, valueHeads: linearHeads, keyDimension: width, valueDimension: width)
    let outerTaps = keys.taps("linear_conv_kernel_dim")
    taps = own?.taps("short_conv_kernel_size", default: outerTaps) ?? outerTaps
    let usual = own?.kimiLayers(depth: skeleton.depth)
    types = LayerTypes(
      keys, depth: skeleton.depth, usual: { usual?[$0] ?? ($0 > 0 && $0 % 4 == 0) })
    keys.skip("pad_token_id")
    padding = keys.json["pad_token_id"] ?? .null
    if let reason = latent.problem {
      throw .impossible(key: "num_attention_heads", reason: reason)
    }
    if let reason = heads.problem { throw .impossible(key: "linear_num_heads", reason: reason) }
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let model = Self(section, vocabulary: 2)
    let (keys, own) = (section.subsections[Keys.self], Keys.name + ".")
    let attention = model.latent.problem.map { KeyProblem("heads", "dimension", message: $0) }
    let recurrence = model.heads.problem.map {
      KeyProblem(own + "linear_heads", own + "linear_dimension", "heads", "dimension", message: $0)
    }
    let experts = ExpertLayers.groupProblem(
      experts: section.subsections[ExpertsSection.self].count,
      chosen: section.subsections[ExpertsSection.self].active, groups: keys.groups,
      best: keys.bestGroups
    ).map {
      KeyProblem(
        own + "expert_groups", own + "best_groups", "model.experts.count", "model.experts.active",
        message: $0)
    }
    return [attention, recurrence, experts].compactMap { $0 }
      + ExpertLayout.kimi.problems(section, of: name) + commonProblems(section)
  }

  var ownConfiguration: [String: JSONValue] {
    let layers = types.isAttention.indices.map { (number: JSONValue.integer($0 + 1), layer: $0) }
    return [
      "mla_use_nope": true, "pad_token_id": padding,
      "num_attention_heads": .integer(latent.heads), "num_key_value_heads": .integer(latent.heads),
      "kv_lora_rank": .integer(latent.latent), "q_lora_rank": .optional(latent.queryLatent),
      "qk_nope_head_dim": .integer(latent.own), "qk_rope_head_dim": .integer(latent.shared),
      "v_head_dim": .integer(latent.value), "attention_bias": .bool(latent.hasBias),
      // Both ways to say it, as each program reads its own.
      "linear_num_heads": .integer(heads.heads), "linear_head_dim": .integer(heads.keyDimension),
      "linear_conv_kernel_dim": .integer(taps),
      "linear_attn_config": .object([
        "num_heads": .integer(heads.heads), "head_dim": .integer(heads.keyDimension),
        "short_conv_kernel_size": .integer(taps),
        "full_attn_layers": .array(
          layers.filter { types.isAttention[$0.layer] }.map { $0.number }),
        "kda_layers": .array(layers.filter { !types.isAttention[$0.layer] }.map { $0.number }),
      ]),
    ]
  }

  func otherName(of tensor: String) -> String? {
    // transformers writes the channel mixers of layers without experts so.
    let parts = tensor.components(separatedBy: ".mlp.")
    return parts.count == 2 ? parts.joined(separator: ".block_sparse_moe.") : nil
  }

  func attention(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    LatentAttentionMixer(latent, at: place, &builder)
  }

  func recurrence(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    KDAMixer(kimi: heads, taps: taps, at: place, &builder)
  }
}

extension ModelKeys {
  /// Which layers of a `linear_attn_config` are attention, where it says so of every layer; its numbers begin at 1.
  fileprivate func kimiLayers(depth: Int) -> [Bool]? {
    guard let full = integers("full_attn_layers"), let linear = integers("kda_layers") else {
      return nil
    }
    if (full + linear).sorted() != Array(1...depth) {
      refuse(
        "full_attn_layers", "it and kda_layers do not name each of the layers 1 to \(depth) once")
    }
    return (1...depth).map(full.contains)
  }
}
