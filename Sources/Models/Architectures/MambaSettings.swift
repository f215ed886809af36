import Configuration

/// A selective-scan layer: all there is to Mamba's mixer, and some layers of Samba.
struct MambaSettings {
  /// Width of the scan over the model's.
  let expand: Double
  /// I, channels of the scan.
  let inner: Int
  /// N, states of a channel.
  let states: Int
  let taps: Int
  /// R, the width that steps are projected from: `⌈d / 16⌉` where it is not given.
  let rank: Int
  let hasBias, hasConvolutionBias: Bool

  /// What a run file describes.
  init(
    dimension: Int, expand: Int, states: Int, taps: Int, rank: Int?, hasBias: Bool
  ) {
    self.expand = Double(expand)
    inner = expand * dimension
    (self.states, self.taps) = (states, taps)
    self.rank = rank ?? Self.rank(of: dimension)
    (self.hasBias, hasConvolutionBias) = (hasBias, true)
  }

  /// What a `config.json` describes.
  init(_ keys: ModelKeys, dimension: Int) {
    expand = keys.ratio("expand", default: 2)
    inner = Int(Double(dimension) * expand)
    if inner < 1 { keys.refuse("expand", "\(expand) of a width of \(dimension) is no channel") }
    states = keys.positive("state_size", default: 16)
    if states > 256 { keys.refuse("state_size", "\(states) states of a channel are above 256") }
    taps = keys.positive("conv_kernel", default: 4)
    if taps > 8 { keys.refuse("conv_kernel", "\(taps) taps are more than 8") }
    rank = keys.positive("time_step_rank", or: "auto") ?? Self.rank(of: dimension)
    hasBias = keys.boolean("use_bias", default: false)
    hasConvolutionBias = keys.boolean("use_conv_bias", default: true)
    // It follows from other keys.
    keys.skip("intermediate_size")
  }

  private static func rank(of dimension: Int) -> Int { (dimension + 15) / 16 }

  /// Its keys.
  var configuration: [String: JSONValue] {
    [
      "expand": .whole(expand), "intermediate_size": .integer(inner),
      "state_size": .integer(states), "conv_kernel": .integer(taps),
      "time_step_rank": .integer(rank), "use_bias": .bool(hasBias),
      "use_conv_bias": .bool(hasConvolutionBias),
    ]
  }

  /// What its weights begin with, and what other programs cast.
  static let ignoredKeys: Set<String> = [
    "time_step_scale", "time_step_min", "time_step_max",
    "time_step_init_scheme", "time_step_floor", "rescale_prenorm_residual", "residual_in_fp32",
    "use_mambapy", "use_associative_scan",
  ]
}

/// A family whose layers are selective scans.
protocol SelectiveScan: FlashMixer where Layer == MambaMixer {
  var settings: MambaSettings { get }
}

extension SelectiveScan {
  static var keys: Set<String> { ["bias"] }
  static var ignoredKeys: Set<String> { MambaSettings.ignoredKeys }
  var configuration: [String: JSONValue] { settings.configuration }
  /// None.
  var problem: String? { nil }

  func layer(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    MambaMixer(settings, at: place, &builder)
  }
}
