import Configuration
import Kernels

/// Mamba-2: a scalar decay from data for each head, whose step also scales what is written.
///
/// - Source: arXiv 2405.21060; flash-linear-attention's layout.
struct Mamba2: FlashMixer {
  typealias Layer = Mamba2Mixer

  static let name = "mamba2"
  static let className = "Mamba2"
  static let card = ModelCard(
    "Mamba-2", recurrence: "scalar decay", papers: ["2405.21060"])
  static let depth = 48
  static let keys: Set<String> = ["bias"]
  /// What weights begin with, how they were cut for other kernels, and what other programs cast.
  static let ignoredKeys: Set<String> = [
    "A_init_range", "conv_init", "dt_min", "dt_max", "dt_init_floor", "rescale_prenorm_residual",
    "residual_in_fp32", "chunk_size",
  ]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.mamba2` section.
  struct Keys: ConfigurationSection {
    static let name = "model.mamba2"
    static let documentation = "What only Mamba-2 has."

    @Key("expand", .model, from: 1, "Width of all heads' values over dimension.")
    var expand = 2

    @Key("state_size", .model, from: 1, through: 256, "Width of keys and queries.")
    var stateSize = 128

    @Key(
      "groups", .model, from: 1, "Keys and queries that there are; neighbouring heads share them.")
    var groups = 1

    @Key("conv_kernel", .model, from: 1, through: 8, unit: "tokens", "Taps of the convolution.")
    var taps = 4

    @Key("norm_before_gate", .model, "Whether outputs are normalised before they are gated.")
    var isNormFirst = false

    init() {}
  }

  let expand: Double
  let settings: Mamba2Settings

  private var size: Mamba2Size { settings.size }

  /// Sizes that do not fit each other.
  static func problems(_ section: ModelSection) -> [KeyProblem] {
    Mamba2Settings.problems(section, heads: section.heads, key: "heads")
  }

  init(_ section: ModelSection) {
    expand = Double(section.subsections[Keys.self].expand)
    settings = Mamba2Settings(section, heads: section.heads)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    expand = keys.ratio("expand", default: 2)
    let size = Mamba2Size(
      inner: Int(Double(dimension) * expand), headWidth: keys.positive("head_dim", default: 64),
      stateSize: keys.positive("state_size", default: 128),
      groups: keys.positive("n_groups", default: 1))
    let taps = keys.positive("conv_kernel", default: 4)
    if taps > 8 { keys.refuse("conv_kernel", "\(taps) taps are more than 8") }
    let isNormed = keys.boolean("rmsnorm", default: true)
    let isNormFirst = keys.boolean("norm_before_gate", default: false)
    settings = Mamba2Settings(
      size: size, taps: taps, hasBias: keys.boolean("use_bias", default: false),
      hasConvolutionBias: keys.boolean("use_conv_bias", default: true),
      skipsChannels: keys.boolean("D_has_hdim", default: false),
      gating: isNormed ? (isNormFirst ? .afterNorm : .beforeNorm) : .withoutNorm,
      limits: keys.range("dt_limit", default: 0...(.infinity)))
    if let heads = keys.optionalPositive("num_heads"), heads != size.heads {
      keys.refuse(
        "num_heads",
        "\(heads) heads of \(size.headWidth) are not an inner width of \(size.inner)")
    }
    if let problem = size.problem { keys.refuse(problem.key, problem.reason) }
  }

  var configuration: [String: JSONValue] {
    var values: [String: JSONValue] = [
      "expand": .whole(expand),
      "head_dim": .integer(size.headWidth), "num_heads": .integer(size.heads),
      "state_size": .integer(size.stateSize), "n_groups": .integer(size.groups),
      "conv_kernel": .integer(settings.taps), "use_bias": .bool(settings.hasBias),
      "use_conv_bias": .bool(settings.hasConvolutionBias),
      "D_has_hdim": .bool(settings.skipsChannels),
      "rmsnorm": .bool(settings.gating != .withoutNorm),
      "norm_before_gate": .bool(settings.gating == .afterNorm),
    ]
    // The default's infinity is no number of JSON, so it is left out.
    if let limits = settings.limitsValue { values["dt_limit"] = limits }
    return values
  }

  var problem: String? { size.problem?.reason }
}
