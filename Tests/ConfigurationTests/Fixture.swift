@testable import Configuration

struct OutsideSection: ConfigurationSection {
  static let name = ""
  static let documentation = "Outside."
  @Key("threads", .model, "Threads.") var threads = 0
}

struct ModelSection: OuterSection {
  enum Mixer: String, KeyChoice { case tnl, retnet }

  static let name = "model"
  static let documentation = "The model."
  static let subsectionTypes: [any ConfigurationSection.Type] = [FamilySection.self]
  var subsections = Subsections()

  @Key("dimension", .model, from: 1, "Width.") var dimension = 64
  @Key("heads", .model, from: 1, through: 512, "Heads.") var heads = 4
  @Key("mixer", .model, "Mixer.") var mixer = Mixer.tnl
  @Key("layers", .model, "Layers.") var layers: [Int] = []
  @Key("from", .model, "Folder.") var from: String?
  @Key("bias", .model, "Bias.") var bias = false
}

/// A section in a section, one of whose keys stood in the outer one before.
struct FamilySection: ConfigurationSection {
  static let name = "model.tnl"
  static let documentation = "Of one family."
  @Key("rotated", .model, formerly: "model.rotated", "Blocks.") var rotated: [Int] = []
  @Key("scale", .model, "Scale.") var scale = 1.0
}

struct OptimizerSection: ConfigurationSection {
  static let name = "optimizer"
  static let documentation = "The optimizer."
  @Key("learning_rate", .model, above: 0, "Rate.") var learningRate = 1e-3
  @Key("beta", .model, from: 0, below: 1, "Decay.") var beta = 0.9
  @Key("expand", .model, above: 0, "Optional.") var expand: Double?
  @Key("path", .model, "Paths.") var path: [WeightedPath] = []
}

/// Sections and a key outside them, with every kind of key.
let schemas = [OutsideSection.schema] + ModelSection.schemas + [OptimizerSection.schema]

/// The document of a run file and overrides.
func document(_ yaml: String = "", _ overrides: String...) -> ConfigurationDocument {
  var document = ConfigurationDocument(schemas: schemas)
  document.read(yaml: yaml, named: "run.yaml")
  document.apply(overrides.map { Override($0) })
  return document
}

/// The problems of a run file and overrides, as a user reads them.
func problems(_ yaml: String = "", _ overrides: String...) -> [String] {
  var found = document(yaml)
  found.apply(overrides.map { Override($0) })
  return found.problems.isEmpty
    ? [] : ConfigurationError(found.problems).problems.map(\.description)
}

extension ConfigurationDocument {
  /// The value of `section.key`.
  subscript(_ section: String, _ key: String) -> Value {
    let schema = schemas.first { $0.name == section }!
    return value(of: schema.key(key)!, in: schema)
  }
}
