import Configuration

/// The scans of Samba: Mamba's, under keys of its own.
struct SambaScan: SelectiveScan {
  static let name = "samba"
  static let className = "Samba"
  static let card = ModelCard(
    "Samba", recurrence: "elementwise, selective scan, and attention in a window",
    papers: ["2406.07522", "2312.00752"])
  static let depth = 18
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.samba` section.
  struct Keys: ConfigurationSection {
    static let name = "model.samba"
    static let documentation = "What only Samba has."

    @Key("expand", .model, from: 1, "Channels of the scan over dimension.")
    var expand = 2

    @Key("state_size", .model, from: 1, through: 256, "States of a channel.")
    var states = 16

    @Key("conv_kernel", .model, from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("time_step_rank", .model, from: 1, "Width that steps come from; null = dimension over 16.")
    var rank: Int?

    @Key(
      "hidden_ratio", .model, above: 0, through: 64,
      "Width of the channel mixer over dimension times 3/2, rounded up to a multiple of 256.")
    var hiddenRatio = 4.0

    init() {}
  }

  let settings: MambaSettings

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    section.outside(["hidden_ratio"], of: name, section.subsections[Keys.self].changes)
  }

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
