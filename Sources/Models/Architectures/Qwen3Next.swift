import Configuration
import Kernels

/// Qwen3-Next: gated delta rules, softmax attention whose outputs are gated in every fourth layer, and experts beside a gated
/// mixer for all tokens; norms whose weights are stored as what they differ from 1 by.
///
/// - Source: arXiv 2412.06464 for the recurrence, 2505.06708 for gated attention; the layout of Hugging Face's transformers.
struct Qwen3Next: PretrainedHybrid {
  static let name = "qwen3_next"
  static let className = "Qwen3Next"
  static let card = ModelCard(
    "Qwen3-Next", recurrence: "gated delta rule, and softmax attention",
    papers: ["2412.06464", "2505.06708"])
  static var section: (any ConfigurationSection.Type)? { Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] { [ExpertsSection.self] }
  static let sharedKeys: Set<String> = ["kv_heads", "tie_embeddings"]
  /// Of the head that predicts further tokens.
  static let keptTensors = ["mtp."]

  private static let defaults = LlamaSkeleton.Defaults(
    dimension: 2048, channelWidth: 5632, depth: 48, vocabulary: 151_936, length: 32768, heads: 16,
    keyValueHeads: 2)
  /// Every so many layers one is attention.
  private static let interval = 4

  /// The run file's `model.qwen3_next` section.
  struct Keys: ConfigurationSection {
    static let name = "model.qwen3_next"
    static let documentation =
      "What only Qwen3-Next has; where model.layers is empty every fourth block is attention."

    @Key(
      "head_dimension", .model, from: 2,
      "Numbers of a head of attention; null = dimension over heads.")
    var headDimension: Int?

    @Key("rope_theta", .model, above: 1, "Base of the rotary frequencies.")
    var rotaryBase = 10_000.0

    @Key(
      "rope_scaling", .model,
      "How rotary positions are scaled: one mapping with the names of a config.json's; [] = not.")
    var rotaryScaling: [RotaryScalingKeys] = []

    @Key(
      "partial_rotary_factor", .model, from: 0, through: 1,
      "Share of a head's numbers that turn with their positions.")
    var rotaryShare = 0.25

    @Key(
      "attention_bias", .model,
      "Whether the projections of queries, keys, values and outputs have biases.")
    var attentionBias = false

    @Key("key_heads", .model, from: 1, "Heads of the recurrence's keys; null = model.heads.")
    var keyHeads: Int?

    @Key(
      "value_heads", .model, from: 1,
      "Heads of its values and states, a multiple of those of keys; null = twice as many.")
    var valueHeads: Int?

    @Key("key_dimension", .model, from: 1, "Numbers of its keys; null = dimension over heads.")
    var keyDimension: Int?

    @Key("value_dimension", .model, from: 1, "Numbers of its values; null = those of its keys.")
    var valueDimension: Int?

    init() {}
  }

  let skeleton: LlamaSkeleton
  let types: LayerTypes
  private let settings: AttentionSettings
  private let rotary: RotaryKeys
  /// What share of a head's numbers turns.
  private let rotaryShare: Double
  /// Heads of the recurrence.
  private let heads: DeltaHeads
  /// Taps of its convolution.
  private let taps: Int

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    var skeleton = LlamaSkeleton(section, vocabulary: vocabulary, hasChannelBias: false)
    skeleton.hasZeroCentredNorms = true
    skeleton.experts = ExpertLayers(
      .qwen3Next, section.subsections[ExpertsSection.self], width: skeleton.channelWidth,
      depth: skeleton.depth)
    self.skeleton = skeleton
    rotary =
      RotaryKeys.reading(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, length: skeleton.length
      ).keys
    rotaryShare = keys.rotaryShare
    settings = Self.attention(
      heads: section.heads, keyValueHeads: section.keyValueHeads,
      headDimension: keys.headDimension ?? section.dimension / section.heads,
      hasBias: keys.attentionBias, share: rotaryShare, skeleton, rotary)
    let keyHeads = keys.keyHeads ?? section.heads
    let keyDimension = keys.keyDimension ?? section.dimension / section.heads
    heads = DeltaHeads(
      keyHeads: keyHeads, valueHeads: keys.valueHeads ?? 2 * keyHeads,
      keyDimension: max(keyDimension, 1), valueDimension: keys.valueDimension ?? keyDimension)
    taps = 4
    types = LayerTypes(section, usual: { Self.isAttention($0, every: Self.interval) })
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let usual = Self.defaults
    var skeleton = LlamaSkeleton(keys, default: usual, mayHaveBias: false)
    skeleton.hasZeroCentredNorms = true
    skeleton.experts = ExpertLayers(
      .qwen3Next, keys, width: skeleton.channelWidth, depth: skeleton.depth)
    self.skeleton = skeleton
    keys.refuseDropout("attention_dropout")
    rotary = RotaryKeys(keys, length: skeleton.length, base: usual.rotaryBase)
    rotaryShare = keys.rotaryShare(default: 0.25)
    settings = Self.attention(
      heads: keys.positive("num_attention_heads", default: usual.heads),
      keyValueHeads: keys.positive("num_key_value_heads", default: usual.keyValueHeads),
      headDimension: keys.positive("head_dim", default: 256),
      hasBias: keys.boolean("attention_bias", default: false), share: rotaryShare, skeleton, rotary)
    heads = DeltaHeads(
      keyHeads: keys.positive("linear_num_key_heads", default: 16),
      valueHeads: keys.positive("linear_num_value_heads", default: 32),
      keyDimension: keys.positive("linear_key_head_dim", default: 128),
      valueDimension: keys.positive("linear_value_head_dim", default: 128))
    taps = keys.taps("linear_conv_kernel_dim")
    let interval = keys.positive("full_attention_interval", default: Self.interval)
    types = LayerTypes(
      keys, depth: skeleton.depth, usual: { Self.isAttention($0, every: interval) })
    if let reason = heads.problem {
      throw .impossible(key: "linear_num_value_heads", reason: reason)
    }
    try settings.check(
      dimension: dimension, rotary, rotatedBy: "partial_rotary_factor")
  }

  private static func isAttention(_ layer: Int, every interval: Int) -> Bool {
    (layer + 1) % interval == 0
  }

  private static func attention(
    heads: Int, keyValueHeads: Int?, headDimension: Int, hasBias: Bool, share: Double,
    _ skeleton: LlamaSkeleton, _ rotary: RotaryKeys
  ) -> AttentionSettings {
    var settings = AttentionSettings(
      heads: heads, keyValueHeads: keyValueHeads, headDimension: headDimension, hasBias: hasBias,
      hasOutputBias: hasBias, normEpsilon: skeleton.normEpsilon, positions: rotary.positions)
    settings.rotated = Int(Double(headDimension) * share)
    settings.rotatesNext = true
    (settings.isGated, settings.hasZeroCentredNorms) = (true, true)
    return settings
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let model = Self(section, vocabulary: 2)
    let (keys, own) = (section.subsections[Keys.self], Keys.name + ".")
    let attention = model.settings.problem(dimension: section.dimension).map {
      KeyProblem(
        "heads", "dimension", own + "head_dimension", own + "partial_rotary_factor", message: $0)
    }
    let recurrence = model.heads.problem.map {
      KeyProblem(own + "key_heads", own + "value_heads", "heads", "dimension", message: $0)
    }
    return [attention, recurrence].compactMap { $0 }
      + RotaryKeys.problems(
        base: keys.rotaryBase, scaling: keys.rotaryScaling, section, in: Keys.name)
      + ExpertLayout.qwen3Next.problems(section, of: name) + commonProblems(section)
  }

  var ownConfiguration: [String: JSONValue] {
    var keys: [String: JSONValue] = [
      "attention_bias": .bool(settings.hasBias),
      "linear_num_key_heads": .integer(heads.keyHeads),
      "linear_num_value_heads": .integer(heads.heads),
      "linear_key_head_dim": .integer(heads.keyDimension),
      "linear_value_head_dim": .integer(heads.valueDimension),
      "linear_conv_kernel_dim": .integer(taps),
    ]
    // Where the share stands beside the base it stays there.
    if rotary.configuration["rope_parameters"]?["partial_rotary_factor"] == nil {
      keys["partial_rotary_factor"] = .number(rotaryShare)
    }
    return [rotary.configuration, settings.pretrainedConfiguration(dimension: dimension)]
      .reduce(into: keys) { $0.merge($1) { $1 } }
  }

  func mixerName(_ layer: Int) -> String {
    types.isAttention[layer] ? "self_attn." : "linear_attn."
  }

  func attention(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    AttentionMixer(settings, at: place, &builder)
  }

  func recurrence(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    GatedDeltaNetMixer(fused: heads, taps: taps, at: place, &builder)
  }
}
