@testable import Configuration

/// Two sections and a key outside them, with every kind of key.
let schemas = [
  SectionSchema("", "Outside.", [.integer("threads", 0, "Threads.")]),
  SectionSchema(
    "model", "The model.",
    [
      .integer("dimension", 64, from: 1, "Width."),
      .integer("heads", 4, from: 1, through: 512, "Heads."),
      .choice("mixer", "tnl", of: ["tnl", "retnet"], "Mixer."),
      .integers("layers", "Layers."),
      .string("from", nil, "Folder."),
      .boolean("bias", false, "Bias."),
    ]),
  SectionSchema(
    "optimizer", "The optimizer.",
    [
      .number("learning_rate", 1e-3, above: 0, "Rate."),
      .number("beta", 0.9, from: 0, below: 1, "Decay."),
      .number("expand", nil, above: 0, "Optional."),
      .weightedPaths("path", "Paths."),
    ]),
]

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
    sectionValues(schemas.first { $0.name == section }!)[key]
  }
}
