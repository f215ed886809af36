import Configuration
import Tensors

/// RWKV-7 (Goose): a generalised delta rule whose transition is a diagonal plus a product of two vectors from data.
///
/// - Source: arXiv 2503.14456; flash-linear-attention's layout.
struct RWKV7: RWKVFamily {
  typealias Layer = RWKV7Mixer

  static let name = "rwkv7"
  static let className = "RWKV7"
  static let card = ModelCard(
    "RWKV-7", recurrence: "diagonal plus low rank", papers: ["2503.14456"])
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.rwkv7` section.
  struct Keys: ConfigurationSection {
    static let name = "model.rwkv7"
    static let documentation = "What only RWKV-7 has."

    @Key("decay_rank", .model, from: 1, "Width between the projections of the decays.")
    var decayRank = 64

    @Key("rate_rank", .model, from: 1, "Width between the projections of the rates of removal.")
    var rateRank = 64

    @Key("gate_rank", .model, from: 1, "Width between the projections of the output's gate.")
    var gateRank = 128

    @Key(
      "value_rank", .model, from: 1,
      "Width between the projections of the share of layer 0's values.")
    var valueRank = 16

    @Key("norm_first", .model, "Whether the embedding is normalised before the first block.")
    var isNormFirst = true

    @Key("norm_bias", .model, "Whether layer norms have biases.")
    var hasNormBias = true

    @Key(
      "logit_penalty", .model,
      "Whether the gradient of each position's largest logit gets 1e-4 of it; the loss does not.")
    var hasPenalty = true

    init() {}
  }

  /// Widths of the low-rank projections.
  struct Ranks {
    let decay, rate, gate, value: Int
  }

  let dimension, headWidth: Int
  let ranks: Ranks
  /// Whether lengths have an epsilon in the root, as the fused kernel has it, or a least value.
  let fusesNorm: Bool

  /// Heads of the state.
  var heads: Int { dimension / headWidth }

  var problem: String? {
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
      : Self(section).problem
    return (problem.map { [KeyProblem("heads", "dimension", message: $0)] } ?? [])
      + section.outside(
        ["norm_first", "norm_bias", "logit_penalty"], of: name,
        section.subsections[Keys.self].changes)
  }

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    dimension = section.dimension
    headWidth = max(section.dimension / section.heads, 1)
    ranks = Ranks(
      decay: keys.decayRank, rate: keys.rateRank, gate: keys.gateRank, value: keys.valueRank)
    fusesNorm = true
  }

  init(_ keys: ModelKeys, dimension: Int) {
    self.dimension = dimension
    let count = keys.optionalPositive("num_heads")
    let width =
      keys.optionalPositive("head_dim") ?? count.map { max(dimension / $0, 1) } ?? 64
    headWidth = width
    ranks = Ranks(
      decay: keys.optionalPositive("decay_low_rank_dim") ?? 64,
      rate: keys.optionalPositive("a_low_rank_dim") ?? 64,
      gate: keys.optionalPositive("gate_low_rank_dim") ?? 128,
      value: keys.optionalPositive("v_low_rank_dim") ?? 16)
    fusesNorm = keys.boolean("fuse_norm", default: true)
    if let values = keys.integers("value_dim"), values.contains(where: { $0 != dimension }) {
      keys.refuse(
        "value_dim",
        "values of other widths than the model's are not computed here, only \(dimension) "
          + "in each layer")
    }
    if let problem {
      keys.refuse("head_dim", problem)
    } else if let count, count * width != dimension {
      keys.refuse(
        "num_heads", "\(count) heads of \(width) numbers are not a width of \(dimension)")
    }
  }

  static func outer(_ section: ModelSection) -> RWKVOuterKeys {
    let keys = section.subsections[Keys.self]
    return RWKVOuterKeys(
      isNormFirst: keys.isNormFirst, hasNormBias: keys.hasNormBias, hasPenalty: keys.hasPenalty)
  }

  static func outer(_ keys: ModelKeys) -> RWKVOuterKeys {
    RWKVOuterKeys(keys, hasPenalty: keys.boolean("use_l2warp", default: true))
  }

  var configuration: [String: JSONValue] {
    [
      "head_dim": .integer(headWidth), "num_heads": .integer(heads), "value_dim": .null,
      "decay_low_rank_dim": .integer(ranks.decay), "a_low_rank_dim": .integer(ranks.rate),
      "gate_low_rank_dim": .integer(ranks.gate), "v_low_rank_dim": .integer(ranks.value),
      "fuse_norm": .bool(fusesNorm),
    ]
  }

  func channels(
    at place: MixerPlace, width: Int, shift: TokenShift, _ builder: inout ModelBuilder
  ) -> ShiftedChannels {
    let (name, d) = (place.name, place.dimension)
    let start = RWKV7Initialization(self, at: place)
    let share = builder.parameter(
      name + "x_k", [d], role: .norm, initialization: start.channelShare)
    let key = builder.linear(name + "key", width, d)
    let value = Linear(
      weight: builder.parameter(
        name + "value.weight", [d, width], role: .matrix, initialization: .constant(0)),
      bias: nil)
    return ShiftedChannels(
      shift: shift, keyShare: share, key: key, value: value, receptance: nil)
  }
}
