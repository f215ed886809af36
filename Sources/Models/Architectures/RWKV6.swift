import Configuration
import Tensors

/// RWKV-6 (Finch): a decay for every key channel from data, and a bonus for the token's own key and value.
///
/// - Source: arXiv 2404.05892; flash-linear-attention's layout.
struct RWKV6: RWKVFamily {
  typealias Layer = RWKV6Mixer

  static let name = "rwkv6"
  static let className = "RWKV6"
  static let card = ModelCard(
    "RWKV-6", recurrence: "vector decay, exclusive", papers: ["2404.05892"])
  static let hiddenRatio = 3.5
  static let keys: Set<String> = ["expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.rwkv6` section.
  struct Keys: ConfigurationSection {
    static let name = "model.rwkv6"
    static let documentation = "What only RWKV-6 has."

    @Key(
      "mixing_rank", .model, from: 1, "Width between the projections of each input's token shift.")
    var mixingRank = 32

    @Key("decay_rank", .model, from: 1, "Width between the projections of the decays.")
    var decayRank = 64

    @Key("norm_first", .model, "Whether the embedding is normalised before the first block.")
    var isNormFirst = true

    @Key("norm_bias", .model, "Whether layer norms have biases.")
    var hasNormBias = true

    init() {}
  }

  let heads: HeadSplit
  /// Width of keys and of values over that of the model.
  private let expandKey, expandValue: Double
  let mixingRank, decayRank: Int

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    sizeProblems(section)
      + section.outside(
        ["norm_first", "norm_bias"], of: name, section.subsections[Keys.self].changes)
  }

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    (expandKey, expandValue) = (section.expandKey ?? 0.5, section.expandValue ?? 1)
    heads = HeadSplit(
      dimension: section.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: section.heads, keyHeads: nil)
    (mixingRank, decayRank) = (keys.mixingRank, keys.decayRank)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandKey = keys.ratio("expand_k", default: 0.5)
    expandValue = keys.ratio("expand_v", default: 1)
    heads = HeadSplit(
      dimension: dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: nil)
    mixingRank = keys.positive("proj_low_rank_dim", default: 32)
    decayRank = keys.positive("gate_low_rank_dim", default: 64)
  }

  static func outer(_ section: ModelSection) -> RWKVOuterKeys {
    let keys = section.subsections[Keys.self]
    return RWKVOuterKeys(
      isNormFirst: keys.isNormFirst, hasNormBias: keys.hasNormBias, hasPenalty: nil)
  }

  static func outer(_ keys: ModelKeys) -> RWKVOuterKeys {
    RWKVOuterKeys(keys, hasPenalty: nil)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "proj_low_rank_dim": .integer(mixingRank),
      "gate_low_rank_dim": .integer(decayRank),
    ]
  }

  var problem: String? { heads.problem }

  func channels(
    at place: MixerPlace, width: Int, shift: TokenShift, _ builder: inout ModelBuilder
  ) -> ShiftedChannels {
    let (name, d) = (place.name, place.dimension)
    func share(_ letter: String, _ builder: inout ModelBuilder) -> Parameter {
      builder.parameter(
        "\(name)\(letter).mu", [d], role: .norm, initialization: .constant(0))
    }
    let keyShare = share("key", &builder)
    let key = builder.linear(name + "key.linear", width, d)
    let value = builder.linear(name + "value", d, width)
    let gateShare = share("receptance", &builder)
    let receptance = builder.linear(name + "receptance.linear", d, d)
    return ShiftedChannels(
      shift: shift, keyShare: keyShare, key: key, value: value, receptance: (gateShare, receptance))
  }
}
