import Configuration

/// A family of models: its run-file keys, its `config.json`, its tensors' names and its blocks.
///
/// A new family is one file that conforms to this, and a line in `Architectures`.
public protocol Architecture: Sendable {
  /// The mixers it provides, as `model.mixer` and `model.layers` name them.
  static var mixers: [String] { get }
  /// `model_type` in `config.json`.
  static var modelType: String { get }

  /// What is wrong with a run file's description of a model of this family.
  static func problems(_ section: ModelSection) -> [KeyProblem]
  /// The model that a run file describes.
  init(_ section: ModelSection, vocabulary: Int)
  /// The model that a `config.json` describes.
  init(configuration: JSONValue) throws(ModelError)
  /// The `config.json` of this model, without unknown keys.
  var configuration: [String: JSONValue] { get }

  /// Width of the residual stream, number of blocks, number of tokens.
  var dimension: Int { get }
  /// Number of blocks.
  var depth: Int { get }
  /// Number of tokens.
  var vocabulary: Int { get }
  /// Standard deviation of the initial weights.
  var initialDeviation: Double { get }
  /// What embeddings are multiplied by.
  var embeddingScale: Float { get }
  /// Epsilon of the norms.
  var normEpsilon: Float { get }
  /// Whether the head uses the embedding's weights.
  var tiesEmbedding: Bool { get }
  /// File names of the tensors outside the blocks; no name for a norm without a weight.
  var outerNames: (embedding: String, norm: String?, head: String) { get }

  /// Builds one block and adds its parameters.
  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block
}

/// The one place that maps names to architectures.
public enum Architectures {
  /// All architectures.
  public static let all: [any Architecture.Type] = [
    TransNormerLLM.self, FlashModel<RetNet>.self, FlashModel<GatedLinearAttention>.self,
    FlashModel<DeltaNet>.self, FlashModel<GatedDeltaNet>.self, FlashModel<Transformer>.self,
  ]

  /// The architecture that provides a mixer.
  static func type(of mixer: String) -> any Architecture.Type {
    guard let type = all.first(where: { $0.mixers.contains(mixer) }) else {
      preconditionFailure("no architecture provides the mixer \(mixer)")
    }
    return type
  }

  /// The architecture of a run file.
  public static func make(_ section: ModelSection, vocabulary: Int) -> any Architecture {
    type(of: section.mainMixer).init(section, vocabulary: vocabulary)
  }

  /// The architecture of a `config.json`.
  public static func make(configuration: JSONValue) throws(ModelError) -> any Architecture {
    guard let name = configuration["model_type"]?.string else { throw .missingKey("model_type") }
    guard let type = all.first(where: { $0.modelType == name }) else {
      throw .unknownModel(name, known: all.map { $0.modelType })
    }
    return try type.init(configuration: configuration)
  }
}

/// What can be wrong with a model's description.
public enum ModelError: Error, CustomStringConvertible {
  /// A key that must be there is not.
  case missingKey(String)
  /// A key's value is not possible.
  case impossible(key: String, reason: String)
  /// A model type that no architecture provides.
  case unknownModel(String, known: [String])

  /// One sentence; the file's name is added by who read it.
  public var description: String {
    switch self {
    case .missingKey(let key): "the key \(key) is missing or of the wrong type"
    case .impossible(let key, let reason): "\(key): \(reason)"
    case .unknownModel(let name, let known):
      "model_type \"\(name)\" is not known; known are \(known.sorted().joined(separator: ", "))"
    }
  }
}

/// Typed reading of a `config.json` with its defaults.
struct ModelKeys {
  let json: JSONValue

  func integer(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
    if let found = json[key]?.integer { return found }
    guard let value, json[key] == nil || json[key] == .null else { throw .missingKey(key) }
    return value
  }

  func positive(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
    let found = try integer(key, default: value)
    guard found > 0 else { throw .impossible(key: key, reason: "\(found) is not positive") }
    return found
  }

  /// A positive number, or nil where the key is absent or null.
  func optionalPositive(_ key: String) throws(ModelError) -> Int? {
    guard let value = json[key], value != .null else { return nil }
    return try positive(key)
  }

  func number(_ key: String, default value: Double) -> Double { json[key]?.number ?? value }

  /// What a norm adds to a mean square: a row of zeros divides by its root, so it must not be 0 in fp32.
  func epsilon(_ key: String, default value: Double) throws(ModelError) -> Float {
    let found = number(key, default: value)
    let least = Float.leastNormalMagnitude
    guard Float(found) >= least && Float(found).isFinite else {
      throw .impossible(
        key: key, reason: "\(found) is not between \(least) and fp32's greatest number")
    }
    return Float(found)
  }

  func boolean(_ key: String, default value: Bool) -> Bool { json[key]?.bool ?? value }

  func string(_ key: String, default value: String) -> String { json[key]?.string ?? value }

  /// Refuses a value that this program does not compute.
  func require(_ key: String, _ wanted: String, default value: String) throws(ModelError) {
    let found = string(key, default: value)
    guard found == wanted else {
      throw .impossible(key: key, reason: "\"\(found)\" is not computed here, only \"\(wanted)\"")
    }
  }
}
