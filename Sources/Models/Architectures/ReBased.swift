import Configuration
import Kernels

/// ReBased: linear attention whose weights are squares of products of normalised queries and keys.
///
/// - Source: arXiv 2402.10644; flash-linear-attention's layer in the skeleton of its models.
struct ReBased: FlashMixer {
  typealias Layer = ReBasedMixer

  static let name = "rebased"
  static let className = "ReBased"
  static let card = ModelCard(
    "ReBased", recurrence: "no decay, squared products", papers: ["2402.10644"])
  static let keys: Set<String> = []
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.rebased` section.
  struct Keys: ConfigurationSection {
    static let name = "model.rebased"
    static let documentation = "What only ReBased has."

    @Key("feature_dim", .model, from: 1, through: 90, "Numbers of a head's query and key.")
    var width = 16

    @Key("use_gamma", .model, "Whether queries and keys are multiplied by a weight.")
    var usesGamma = true

    @Key("use_beta", .model, "Whether a bias is added to queries and keys.")
    var usesBeta = true

    @Key("normalize", .model, "Whether queries and keys go through a layer norm first.")
    var normalizes = true

    @Key("eps", .model, above: 0, "Added to the sum of weights that outputs are divided by.")
    var epsilon = 1e-5

    init() {}
  }

  let heads: HeadSplit
  /// Numbers of a head's query and key.
  let width: Int
  let usesGamma, usesBeta, normalizes: Bool
  /// Added to the sum of weights.
  let epsilon: Double

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    width = keys.width
    heads = HeadSplit(
      heads: section.heads, keyWidth: section.heads * keys.width, valueWidth: section.dimension)
    (usesGamma, usesBeta, normalizes) = (keys.usesGamma, keys.usesBeta, keys.normalizes)
    epsilon = keys.epsilon
  }

  init(_ keys: ModelKeys, dimension: Int) {
    width = keys.positive("feature_dim", default: 16)
    let count = keys.positive("num_heads", default: 16)
    heads = HeadSplit(heads: count, keyWidth: count * width, valueWidth: dimension)
    let keyHeads = keys.positive("num_key_value_heads", default: 16)
    if keyHeads != count {
      keys.refuse(
        "num_key_value_heads", "\(keyHeads) is not num_heads, \(count), and heads are not grouped")
    }
    usesGamma = keys.boolean("use_gamma", default: true)
    usesBeta = keys.boolean("use_beta", default: true)
    normalizes = keys.boolean("normalize", default: true)
    epsilon = keys.positiveNumber("eps", default: 1e-5)
  }

  var configuration: [String: JSONValue] {
    [
      "feature_dim": .integer(width), "num_heads": .integer(heads.heads),
      "num_key_value_heads": .integer(heads.heads), "use_gamma": .bool(usesGamma),
      "use_beta": .bool(usesBeta), "normalize": .bool(normalizes), "eps": .number(epsilon),
    ]
  }

  var problem: String? {
    let features = width * (width + 1) / 2
    if features > DiagonalRecurrence.mostKeys {
      return "a feature_dim of \(width) makes \(features) features, and "
        + "\(DiagonalRecurrence.mostKeys) is the most; choose 90 or less"
    }
    return heads.problem
  }
}
