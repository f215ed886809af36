import Configuration
import Kernels

/// HGRN2: forget gates with lower bounds that grow from layer to layer, and a state for each head.
///
/// - Source: arXiv 2404.07904; flash-linear-attention's layout.
struct HGRN2: FlashMixer {
  typealias Layer = HGRN2Mixer

  static let name = "hgrn2"
  static let className = "HGRN2"
  static let card = ModelCard(
    "HGRN2", recurrence: "vector decay", papers: ["2404.07904"])
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.hgrn2` section.
  struct Keys: ConfigurationSection {
    static let name = "model.hgrn2"
    static let documentation = "What only HGRN2 has."

    @Key("lower_bound", .model, "Whether forget gates have lower bounds, from data of all layers.")
    var hasLowerBound = true

    @Key("short_conv", .model, "Whether queries, gates and inputs go through short convolutions.")
    var hasConvolution = false

    init() {}
  }

  let heads: HeadSplit
  let taps: Int?
  let hasLowerBound: Bool

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    heads = HeadSplit(
      dimension: section.dimension, expandKey: 1, expandValue: 1, heads: section.heads,
      keyHeads: nil)
    taps = keys.hasConvolution ? 4 : nil
    hasLowerBound = keys.hasLowerBound
  }

  init(_ keys: ModelKeys, dimension: Int) {
    let given = keys.optionalPositive("num_heads")
    let ratio = keys.optionalPositive("expand_ratio") ?? given.map { dimension / $0 } ?? 128
    let count = given ?? keys.heads(ofRatio: ratio, dimension: dimension)
    if let given, given * ratio != dimension {
      keys.refuse(
        "expand_ratio",
        "\(given) heads of \(ratio) channels are \(given * ratio) wide, the model \(dimension)")
    }
    heads = HeadSplit(
      dimension: dimension, expandKey: 1, expandValue: 1, heads: count, keyHeads: nil)
    taps = keys.convolutionTaps(default: false)
    hasLowerBound = keys.boolean("use_lower_bound", default: true)
  }

  var configuration: [String: JSONValue] {
    [
      "num_heads": .integer(heads.heads), "expand_ratio": .integer(heads.keyDimension),
      "use_short_conv": .bool(taps != nil), "conv_size": .integer(taps ?? 4),
      "use_lower_bound": .bool(hasLowerBound),
    ]
  }

  var problem: String? { heads.problem }

  func addShared(layers: Int, _ builder: inout ModelBuilder) {
    if hasLowerBound { builder.addLowerBounds(layers: layers, width: heads.keyWidth) }
  }
}
