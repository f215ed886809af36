import Configuration
import Kernels
import Tensors

/// RWKV-7 (Goose): a generalised delta rule whose transition is a diagonal plus a product of two vectors from data.
///
/// - Source: arXiv 2503.14456; flash-linear-attention's layout.
struct RWKV7: RWKVArchitecture {
  static let mixers = ["rwkv7"]
  static let modelType = "rwkv7"
  static let card = ModelCard(
    "RWKV-7", recurrence: "diagonal plus low rank", papers: ["2503.14456"])
  static let sharedKeys: Set<String> = ["tie_embeddings"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.rwkv7` section.
  struct Keys: ConfigurationSection {
    static let name = "model.rwkv7"
    static let documentation = "What only RWKV-7 has."

    @Key("decay_rank", from: 1, "Width between the projections of the decays.")
    var decayRank = 64

    @Key("rate_rank", from: 1, "Width between the projections of the rates of removal.")
    var rateRank = 64

    @Key("gate_rank", from: 1, "Width between the projections of the output's gate.")
    var gateRank = 128

    @Key("value_rank", from: 1, "Width between the projections of the share of layer 0's values.")
    var valueRank = 16

    @Key("norm_first", "Whether the embedding is normalised before the first block.")
    var isNormFirst = true

    @Key("norm_bias", "Whether layer norms have biases.")
    var hasNormBias = true

    @Key(
      "logit_penalty",
      "Whether the gradient of each position's largest logit gets 1e-4 of it; the loss does not.")
    var hasPenalty = true

    init() {}
  }

  /// Widths of the low-rank projections.
  struct Ranks {
    let decay, rate, gate, value: Int
  }

  let skeleton: RWKVSkeleton
  let headWidth: Int
  let ranks: Ranks
  /// Whether lengths have an epsilon in the root, as the fused kernel has it, or a least value.
  let fusesNorm: Bool
  private let hasPenalty: Bool

  private static let hiddenRatio = 4.0

  /// Heads of the state.
  var heads: Int { dimension / headWidth }

  private static func problem(dimension: Int, headWidth: Int) -> String? {
    if headWidth > 256 { return "heads of \(headWidth) numbers; 256 is the most" }
    return dimension % headWidth == 0 && dimension >= headWidth
      ? nil
      : "heads of \(headWidth) numbers do not divide a width of \(dimension); "
        + "choose a divisor of \(dimension), or another width"
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let (d, heads) = (section.dimension, section.heads)
    let problem =
      d % heads != 0 || d < heads
      ? "\(heads) heads do not divide a width of \(d); choose a divisor of \(d), or another width"
      : problem(dimension: d, headWidth: d / heads)
    return RWKVSkeleton.problems(
      section, family: "rwkv7", reading: sharedKeys, problem: problem)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    skeleton = RWKVSkeleton(
      section, vocabulary: vocabulary, hiddenRatio: Self.hiddenRatio,
      isNormFirst: keys.isNormFirst, hasNormBias: keys.hasNormBias)
    headWidth = max(section.dimension / section.heads, 1)
    ranks = Ranks(
      decay: keys.decayRank, rate: keys.rateRank, gate: keys.gateRank, value: keys.valueRank)
    (fusesNorm, hasPenalty) = (true, keys.hasPenalty)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    skeleton = RWKVSkeleton(keys, hiddenRatio: Self.hiddenRatio)
    let d = skeleton.dimension
    let count = keys.optionalPositive("num_heads")
    let width =
      keys.optionalPositive("head_dim") ?? count.map { max(d / $0, 1) } ?? 64
    headWidth = width
    ranks = Ranks(
      decay: keys.optionalPositive("decay_low_rank_dim") ?? 64,
      rate: keys.optionalPositive("a_low_rank_dim") ?? 64,
      gate: keys.optionalPositive("gate_low_rank_dim") ?? 128,
      value: keys.optionalPositive("v_low_rank_dim") ?? 16)
    fusesNorm = keys.boolean("fuse_norm", default: true)
    hasPenalty = keys.boolean("use_l2warp", default: true)
    if let values = keys.integers("value_dim"),
      values.count != skeleton.depth || values.contains(where: { $0 != d })
    {
      keys.refuse(
        "value_dim",
        "values of other widths than the model's are not computed here, only \(d) "
          + "in each of \(skeleton.depth) layers")
    }
    if let problem = Self.problem(dimension: d, headWidth: width) {
      throw .impossible(key: "head_dim", reason: problem)
    }
    if let count, count * width != d {
      throw .impossible(
        key: "num_heads",
        reason: "\(count) heads of \(width) numbers are not a width of \(d)")
    }
    if let problem = skeleton.attentionProblem {
      throw .impossible(key: "attn.num_heads", reason: problem)
    }
  }

  var configuration: [String: JSONValue] {
    skeleton.configuration.merging([
      "architectures": ["RWKV7ForCausalLM"], "model_type": "rwkv7",
      "head_dim": .integer(headWidth), "num_heads": .integer(heads), "value_dim": .null,
      "decay_low_rank_dim": .integer(ranks.decay), "a_low_rank_dim": .integer(ranks.rate),
      "gate_low_rank_dim": .integer(ranks.gate), "v_low_rank_dim": .integer(ranks.value),
      "fuse_norm": .bool(fusesNorm), "use_l2warp": .bool(hasPenalty),
    ]) { $1 }
  }

  var largestLogitPenalty: Double { hasPenalty ? 1e-4 : 0 }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let (d, inner) = (dimension, skeleton.channelWidth)
    let start = RWKV7Initialization(self, layer: layer)
    return skeleton.block(layer, region: region, &builder) {
      RWKV7Mixer(self, at: $0, &$1)
    } channels: { name, shift, builder in
      let share = builder.parameter(
        name + "x_k", [d], role: .norm, initialization: start.channelShare)
      let key = builder.linear(name + "key", inner, d)
      let value = Linear(
        weight: builder.parameter(
          name + "value.weight", [d, inner], role: .matrix, initialization: .constant(0)),
        bias: nil)
      return ShiftedChannels(
        shift: shift, keyShare: share, key: key, value: value, receptance: nil)
    }
  }
}
