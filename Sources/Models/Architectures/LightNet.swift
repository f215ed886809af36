import Configuration
import Kernels

/// LightNet: additive decays, by which keys are a softmax over all tokens so far.
///
/// - Source: arXiv 2405.21022; flash-linear-attention's layout.
struct LightNet: FlashMixer {
  typealias Layer = LightNetMixer

  static let name = "lightnet"
  static let className = "LightNet"
  static let card = ModelCard(
    "LightNet", recurrence: "cumulative softmax, vector decay", papers: ["2405.21022"])
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.lightnet` section.
  struct Keys: ConfigurationSection {
    static let name = "model.lightnet"
    static let documentation = "What only LightNet has."

    @Key("short_conv", .model, "Whether queries, keys and values go through short convolutions.")
    var hasConvolution = false

    @Key("gate_rank", .model, from: 1, "Width between the two projections of the output gate.")
    var gateRank = 128

    init() {}
  }

  let heads: HeadSplit
  let taps: Int?
  let gateRank: Int

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    heads = HeadSplit(
      dimension: section.dimension, expandKey: 1, expandValue: 1, heads: section.heads,
      keyHeads: nil,
      mostKeys: DiagonalRecurrence.mostValues)
    taps = keys.hasConvolution ? 4 : nil
    gateRank = keys.gateRank
  }

  init(_ keys: ModelKeys, dimension: Int) {
    // A number of heads says how wide they are, whatever the file's ratio is.
    let count =
      keys.optionalPositive("num_heads")
      ?? keys.heads(
        ofRatio: keys.positive("expand_ratio", default: 128), dimension: dimension)
    heads = HeadSplit(
      dimension: dimension, expandKey: 1, expandValue: 1,
      heads: count, keyHeads: nil,
      mostKeys: DiagonalRecurrence.mostValues)
    taps = keys.convolutionTaps(default: false)
    gateRank = keys.positive("gate_low_rank_dim", default: 128)
  }

  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads.heads), "expand_ratio": .integer(heads.keyDimension),
      "use_short_conv": .bool(taps != nil), "conv_size": .integer(taps ?? 4),
      "gate_low_rank_dim": .integer(gateRank),
    ]
  }

  var problem: String? { heads.problem }
}
