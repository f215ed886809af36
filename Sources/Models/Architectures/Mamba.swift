import Configuration

/// Mamba: selective scans, of several states a channel.
///
/// - Source: arXiv 2312.00752; flash-linear-attention's layout.
struct Mamba: SelectiveScan {
  static let name = "mamba"
  static let className = "Mamba"
  static let card = ModelCard(
    "Mamba", recurrence: "elementwise, selective scan", papers: ["2312.00752"])
  static let depth = 48
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.mamba` section.
  struct Keys: ConfigurationSection {
    static let name = "model.mamba"
    static let documentation = "What only Mamba has."

    @Key("expand", .model, from: 1, "Channels of the scan over dimension.")
    var expand = 2

    @Key("state_size", .model, from: 1, through: 256, "States of a channel.")
    var states = 16

    @Key("conv_kernel", .model, from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("time_step_rank", .model, from: 1, "Width that steps come from; null = dimension over 16.")
    var rank: Int?

    init() {}
  }

  let settings: MambaSettings

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    settings = MambaSettings(
      dimension: section.dimension, expand: keys.expand, states: keys.states, taps: keys.taps,
      rank: keys.rank, hasBias: section.bias)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    settings = MambaSettings(keys, dimension: dimension)
  }
}
