import Configuration
import Kernels

/// A map to positive features, as run files and `config.json` name it.
enum FeatureMapName: String, KeyChoice {
  /// `[softmax(u), softmax(−u)]`.
  case softmax_dim
  /// `[e^{u − max u}, e^{min u − u}]`.
  case exp_dim
  /// `max(u, 0)`.
  case relu
  /// `elu(x) + 1`, which has no weights.
  case elu

  /// The map.
  var features: PositiveFeatures {
    switch self {
    case .softmax_dim: .softmax
    case .exp_dim: .exponential
    case .relu: .relu
    case .elu: .eluPlusOne
    }
  }
}

extension FeatureProjectionSettings {
  /// What a `config.json` says.
  init(_ keys: ModelKeys, default map: FeatureMapName, bias: Bool = false) {
    self.init(
      features: keys.choice(
        "feature_map", default: map.rawValue,
        of: FeatureMapName.allCases.map { ($0.rawValue, $0.features) }),
      width: keys.optionalPositive("feature_dim"),
      hasBias: keys.boolean("feature_map_bias", default: bias),
      skips: keys.boolean("feature_map_skip_connection", default: false),
      beginsAsIdentity: keys.boolean("feature_map_zero_init", default: false))
  }

  /// Its keys of `config.json`.
  var configuration: [String: JSONValue] {
    let name = FeatureMapName.allCases.first { $0.features == features }!
    return [
      "feature_map": .string(name.rawValue), "feature_dim": .optional(width),
      "feature_map_bias": .bool(hasBias), "feature_map_skip_connection": .bool(skips),
      "feature_map_zero_init": .bool(beginsAsIdentity),
    ]
  }

  /// Why features of heads cannot be, as a method names its keys; nil where they can.
  func problem(_ heads: HeadSplit, method: String) -> (key: String, reason: String)? {
    let d = heads.keyDimension
    if let problem = heads.tooWide { return ("num_attention_heads", problem) }
    if let problem = problem(d) { return ("feature_dim", problem) }
    let (count, most) = (features.count(width(d)), DiagonalRecurrence.mostKeys)
    guard count > most else { return nil }
    return (
      "feature_dim", "\(count) features of a head, and \(most) is the most; lower \(method)'s"
    )
  }
}

extension HeadSplit {
  /// Why values of its heads do not fit a recurrence that stands in for attention; nil where they do.
  var tooWide: String? {
    valueDimension > 256
      ? "heads of \(valueDimension) numbers, and 256 is the most; use more heads" : nil
  }
}
