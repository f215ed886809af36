import Configuration

/// How a run file scales a pretrained Transformer's rotary positions: a mapping with the names that a `config.json` has.
struct RotaryScalingKeys: ConfigurationSection, Equatable {
  /// The ways to scale.
  enum Kind: String, KeyChoice { case linear, llama3, yarn }

  static let name = "rope_scaling"
  static let documentation = "How rotary positions are scaled for longer sequences."

  @Key("rope_type", .model, "The way.") var kind = Kind.linear

  @Key("factor", .model, above: 0, "By how much sequences grow.") var factor: Double?

  @Key(
    "original_max_position_embeddings", .model, from: 1, unit: "tokens",
    "Tokens that the model was first trained on; null = sequence.length.")
  var length: Int?

  @Key(
    "low_freq_factor", .model, above: 0,
    "llama3: longer wavelengths than length over this are scaled.")
  var low: Double?

  @Key("high_freq_factor", .model, above: 0, "llama3: shorter ones than length over this stay.")
  var high: Double?

  @Key(
    "beta_fast", .model, above: 0,
    "yarn: turns in that length from which frequencies stay; null = 32.")
  var fast: Double?

  @Key("beta_slow", .model, above: 0, "yarn: turns below which they are divided; null = 1.")
  var slow: Double?

  @Key(
    "attention_factor", .model, above: 0,
    "yarn: what cosines and sines are multiplied by; null = its rule."
  )
  var magnitude: Double?

  init() {}

  /// As a `config.json` has it.
  var json: JSONValue {
    .object(
      changes.mapValues(\.json).merging(["rope_type": .string(kind.rawValue)]) { $1 })
  }
}

extension RotaryKeys {
  /// What a run file describes, and what is wrong with it.
  ///
  /// - Parameter length: Tokens of its sequences.
  static func reading(
    base: Double, scaling: [RotaryScalingKeys], length: Int
  ) -> (keys: RotaryKeys, problems: [ModelError]) {
    let keys = ModelKeys(
      ["rope_theta": .number(base), "rope_scaling": scaling.first?.json ?? .null])
    return (RotaryKeys(keys, length: length), keys.problems)
  }

  /// What is wrong with the positions that a family's section of a run file describes.
  static func problems(
    base: Double, scaling: [RotaryScalingKeys], _ section: ModelSection, in family: String
  ) -> [KeyProblem] {
    let key = "\(family).\(RotaryScalingKeys.name)"
    let several = KeyProblem(
      key, message: "positions are scaled in one way; write one mapping")
    return (scaling.count > 1 ? [several] : [])
      + reading(base: base, scaling: scaling, length: section.sequenceLength).problems.map {
        KeyProblem(key, message: $0.description)
      }
  }
}
