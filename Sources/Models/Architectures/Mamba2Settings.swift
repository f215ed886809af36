import Configuration

/// A Mamba-2 layer: all there is to Mamba-2's mixer, and the recurrence of some hybrids.
struct Mamba2Settings {
  let size: Mamba2Size
  /// Taps of the convolution.
  let taps: Int
  let hasBias, hasConvolutionBias: Bool
  /// Whether the skip has a factor for each channel, and not for each head.
  var skipsChannels = false
  var gating = Mamba2Mixer.Gating.beforeNorm
  /// The least and the greatest step.
  let limits: ClosedRange<Double>
  /// Whether rates begin as the logarithms of 1, 2, … and steps at one, as transformers has them; else they are drawn.
  var beginsEven = false
}

extension Mamba2Settings {
  /// What a run file says: the section that Mamba-2 has, and how many heads there are.
  init(_ section: ModelSection, heads: Int, beginsEven: Bool = false) {
    let keys = section.subsections[Mamba2.Keys.self]
    let inner = keys.expand * section.dimension
    self.init(
      size: Mamba2Size(
        inner: inner, headWidth: max(inner / heads, 1), stateSize: keys.stateSize,
        groups: keys.groups),
      taps: keys.taps, hasBias: section.bias, hasConvolutionBias: true,
      gating: keys.isNormFirst ? .afterNorm : .beforeNorm, limits: 0...(.infinity),
      beginsEven: beginsEven)
  }

  /// What a run file has wrong, by the key of its heads.
  static func problems(_ section: ModelSection, heads: Int, key: String) -> [KeyProblem] {
    let inner = section.subsections[Mamba2.Keys.self].expand * section.dimension
    if inner % heads != 0 || inner < heads {
      return [
        KeyProblem(
          key, "dimension",
          message: "\(heads) heads do not divide an inner width of \(inner); "
            + "choose a divisor of \(inner), or another width")
      ]
    }
    return Self(section, heads: heads).size.problem.map {
      [KeyProblem(key, "model.mamba2.groups", message: $0.reason)]
    } ?? []
  }
}

/// The keys of Mamba-2 layers in hybrids of Hugging Face's layouts.
extension Mamba2Settings {
  /// What a `config.json` says.
  init(hybrid keys: ModelKeys, dimension: Int) {
    let expand = keys.ratio("mamba_expand", default: 2)
    let inner = Int(Double(dimension) * expand)
    let heads = keys.positive("mamba_n_heads", default: 128)
    if inner < heads || inner % heads != 0 {
      keys.refuse(
        "mamba_n_heads", "\(heads) heads do not divide an inner width of \(inner)")
    }
    if let width = keys.positive("mamba_d_head", or: "auto"), width * heads != inner {
      keys.refuse(
        "mamba_d_head", "\(heads) heads of \(width) are not an inner width of \(inner)")
    }
    self.init(
      size: Mamba2Size(
        inner: inner, headWidth: max(inner / heads, 1),
        stateSize: keys.positive("mamba_d_state", default: 256),
        groups: keys.positive("mamba_n_groups", default: 1)),
      taps: keys.positive("mamba_d_conv", default: 4),
      hasBias: keys.boolean("mamba_proj_bias", default: false),
      hasConvolutionBias: keys.boolean("mamba_conv_bias", default: true),
      limits: keys.range(Self.limitsKey, default: 0...(.infinity)), beginsEven: true)
    if taps > 8 { keys.refuse("mamba_d_conv", "\(taps) taps are more than 8") }
    if let problem = size.problem, inner % heads == 0 {
      let names = ["head_dim": "mamba_n_heads", "state_size": "mamba_d_state"]
      keys.refuse(names[problem.key] ?? "mamba_n_groups", problem.reason)
    }
  }

  /// Of the least and the greatest step: an infinite one is no number of JSON, and what is meant where nothing is said.
  static let limitsKey = "time_step_limit"

  /// Keys that change nothing.
  static let ignoredKeys: Set<String> = [
    "mamba_chunk_size", "time_step_min", "time_step_max", "time_step_floor", "use_mamba_kernels",
  ]

  /// Its keys.
  func hybridConfiguration(dimension: Int) -> [String: JSONValue] {
    var values: [String: JSONValue] = [
      "mamba_n_heads": .integer(size.heads), "mamba_d_head": .integer(size.headWidth),
      "mamba_n_groups": .integer(size.groups), "mamba_d_state": .integer(size.stateSize),
      "mamba_d_conv": .integer(taps),
      "mamba_expand": .whole(Double(size.inner) / Double(dimension)),
      "mamba_conv_bias": .bool(hasConvolutionBias), "mamba_proj_bias": .bool(hasBias),
    ]
    if let limits = limitsValue { values[Self.limitsKey] = limits }
    return values
  }

  /// The least and the greatest step as JSON; nil for no limits.
  var limitsValue: JSONValue? {
    limits == 0...(.infinity)
      ? nil
      : .array(
        [limits.lowerBound, min(limits.upperBound, Double(Float.greatestFiniteMagnitude))].map {
          .number($0)
        })
  }
}
