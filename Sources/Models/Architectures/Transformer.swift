import Configuration

/// The Transformer: softmax attention in every layer.
///
/// - Source: arXiv 1706.03762; flash-linear-attention's layout.
struct Transformer: FlashMixer {
  typealias Layer = AttentionMixer

  static let name = "transformer"
  static let className = "Transformer"
  static let card = ModelCard(
    "Transformer", recurrence: "softmax attention", papers: ["1706.03762"])
  static let keys: Set<String> = ["kv_heads", "bias", "window"]

  let settings: AttentionSettings
  let dimension: Int

  init(_ section: ModelSection) {
    settings = AttentionSettings(section)
    dimension = section.dimension
  }

  init(_ keys: ModelKeys, dimension: Int) {
    settings = AttentionSettings(keys, isHybrid: false)
    self.dimension = dimension
  }

  var configuration: [String: JSONValue] {
    settings.configuration.merging(["qk_norm": .bool(settings.normEpsilon != nil)]) { $1 }
  }

  var problem: String? { settings.split(dimension).problem }
}
