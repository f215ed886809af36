import Configuration

/// HGRN: forget gates with lower bounds that grow from layer to layer, and a state of one number a channel.
///
/// - Source: arXiv 2311.04823; flash-linear-attention's layout.
struct HGRN: FlashMixer {
  typealias Layer = HGRNMixer

  static let name = "hgrn"
  static let className = "HGRN"
  static let card = ModelCard("HGRN", recurrence: "elementwise", papers: ["2311.04823"])
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.hgrn` section.
  struct Keys: ConfigurationSection {
    static let name = "model.hgrn"
    static let documentation = "What only HGRN has."

    @Key(
      "expand_ratio", .model, above: 0, through: 1024, "Channels of the state over dimension.")
    var expandRatio = 1.0

    @Key("lower_bound", .model, "Whether forget gates have lower bounds, from data of all layers.")
    var hasLowerBound = true

    @Key("short_conv", .model, "Whether gates and inputs go through short convolutions.")
    var hasConvolution = false

    init() {}
  }

  /// Channels of the state over the model's width.
  let expandRatio: Double
  /// Channels of the state.
  let width: Int
  let taps: Int?
  let hasLowerBound: Bool

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    expandRatio = keys.expandRatio
    width = Int(Double(section.dimension) * expandRatio)
    taps = keys.hasConvolution ? 4 : nil
    hasLowerBound = keys.hasLowerBound
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expandRatio = keys.ratio("expand_ratio", default: 1)
    width = Int(Double(dimension) * expandRatio)
    if width < 1 {
      keys.refuse("expand_ratio", "\(expandRatio) of a width of \(dimension) is no channel")
    }
    taps = keys.convolutionTaps(default: false)
    hasLowerBound = keys.boolean("use_lower_bound", default: true)
  }

  var configuration: [String: JSONValue] {
    [
      "expand_ratio": .whole(expandRatio), "use_short_conv": .bool(taps != nil),
      "conv_size": .integer(taps ?? 4), "use_lower_bound": .bool(hasLowerBound),
    ]
  }

  var problem: String? {
    width > 0 ? nil : "a state \(expandRatio) times as wide as the model has no channel"
  }

  func addShared(layers: Int, _ builder: inout ModelBuilder) {
    if hasLowerBound { builder.addLowerBounds(layers: layers, width: width) }
  }
}
