import Configuration
import Kernels
import Tensors

/// RWKV-6 (Finch): a decay for every key channel from data, and a bonus for the token's own key and value.
///
/// - Source: arXiv 2404.05892; flash-linear-attention's layout.
struct RWKV6: RWKVArchitecture {
  static let mixers = ["rwkv6"]
  static let modelType = "rwkv6"
  static let card = ModelCard(
    "RWKV-6", recurrence: "vector decay, exclusive", papers: ["2404.05892"])
  static let sharedKeys: Set<String> = ["expand_k", "expand_v", "tie_embeddings"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.rwkv6` section.
  struct Keys: ConfigurationSection {
    static let name = "model.rwkv6"
    static let documentation = "What only RWKV-6 has."

    @Key("mixing_rank", from: 1, "Width between the projections of each input's token shift.")
    var mixingRank = 32

    @Key("decay_rank", from: 1, "Width between the projections of the decays.")
    var decayRank = 64

    @Key("norm_first", "Whether the embedding is normalised before the first block.")
    var isNormFirst = true

    @Key("norm_bias", "Whether layer norms have biases.")
    var hasNormBias = true

    init() {}
  }

  let skeleton: RWKVSkeleton
  let heads: HeadSplit
  /// Width of keys and of values over that of the model.
  private let expandKey, expandValue: Double
  let mixingRank, decayRank: Int

  private static let hiddenRatio = 3.5

  private static func heads(_ section: ModelSection) -> HeadSplit {
    HeadSplit(
      dimension: section.dimension, expandKey: section.expandKey ?? 0.5,
      expandValue: section.expandValue ?? 1, heads: section.heads, keyHeads: nil)
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    RWKVSkeleton.problems(
      section, family: "rwkv6", reading: sharedKeys, problem: heads(section).problem)
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Keys.self]
    skeleton = RWKVSkeleton(
      section, vocabulary: vocabulary, hiddenRatio: Self.hiddenRatio,
      isNormFirst: keys.isNormFirst, hasNormBias: keys.hasNormBias)
    heads = Self.heads(section)
    (expandKey, expandValue) = (section.expandKey ?? 0.5, section.expandValue ?? 1)
    (mixingRank, decayRank) = (keys.mixingRank, keys.decayRank)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    skeleton = RWKVSkeleton(keys, hiddenRatio: Self.hiddenRatio)
    expandKey = keys.ratio("expand_k", default: 0.5)
    expandValue = keys.ratio("expand_v", default: 1)
    heads = HeadSplit(
      dimension: skeleton.dimension, expandKey: expandKey, expandValue: expandValue,
      heads: keys.positive("num_heads", default: 4), keyHeads: nil)
    mixingRank = keys.positive("proj_low_rank_dim", default: 32)
    decayRank = keys.positive("gate_low_rank_dim", default: 64)
    if let problem = heads.problem { throw .impossible(key: "num_heads", reason: problem) }
    if let problem = skeleton.attentionProblem {
      throw .impossible(key: "attn.num_heads", reason: problem)
    }
  }

  var configuration: [String: JSONValue] {
    skeleton.configuration.merging([
      "architectures": ["RWKV6ForCausalLM"], "model_type": "rwkv6",
      "expand_k": .number(expandKey), "expand_v": .number(expandValue),
      "num_heads": .integer(heads.heads), "proj_low_rank_dim": .integer(mixingRank),
      "gate_low_rank_dim": .integer(decayRank),
    ]) { $1 }
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let (d, inner) = (dimension, skeleton.channelWidth)
    return skeleton.block(layer, region: region, &builder) {
      RWKV6Mixer(self, at: $0, &$1)
    } channels: { name, shift, builder in
      func share(_ letter: String, _ builder: inout ModelBuilder) -> Parameter {
        builder.parameter(
          "\(name)\(letter).mu", [d], role: .norm, initialization: .constant(0))
      }
      let keyShare = share("key", &builder)
      let key = builder.linear(name + "key.linear", inner, d)
      let value = builder.linear(name + "value", d, inner)
      let gateShare = share("receptance", &builder)
      let receptance = builder.linear(name + "receptance.linear", d, d)
      return ShiftedChannels(
        shift: shift, keyShare: keyShare, key: key, value: value,
        receptance: (gateShare, receptance))
    }
  }
}
