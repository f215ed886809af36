import Configuration
import Kernels

/// A function of each number of queries and keys, as run files name it.
///
/// Not one table with `HeadFeatures`: those are maps of whole heads, with weights and channel counts of their own and without
/// the activations, and what a family takes is what its refusals and the reference of keys list. Nor with the maps of
/// linearised Transformers (`FeatureMapName`), which are learned for each head and named as their authors' programs do.
enum FeatureMap: String, KeyChoice {
  case identity, relu, silu, sigmoid

  /// The function.
  var activation: Activation {
    switch self {
    case .identity: .identity
    case .relu: .relu
    case .silu: .silu
    case .sigmoid: .sigmoid
    }
  }

  /// What `config.json` calls it; the first name is written, but for the identity's, which is null.
  var names: [String] { self == .silu ? ["swish", "silu"] : [rawValue] }
}

extension ModelKeys {
  /// `feature_map`: an activation of queries and keys.
  func featureMap() -> Activation {
    choice(
      "feature_map", default: FeatureMap.identity.rawValue,
      of: FeatureMap.allCases.flatMap { map in map.names.map { ($0, map.activation) } })
  }
}

extension JSONValue {
  /// The name of a feature map, or null.
  static func featureMap(_ activation: Activation) -> JSONValue {
    guard let map = FeatureMap.allCases.first(where: { $0.activation == activation }),
      map != .identity
    else { return .null }
    return .string(map.names[0])
  }
}
