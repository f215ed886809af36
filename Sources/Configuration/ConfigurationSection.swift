/// A section of the run file: a struct with a property for each key, declared by `@Key`.
///
/// What no single key can know (heads must divide the dimension) it reports from `problems`.
package protocol ConfigurationSection: Sendable {
  /// Name in the run file, such as `model` or, of a section in a section, `model.tnl`; empty for the keys
  /// outside all sections.
  static var name: String { get }
  /// One line that says what the section decides.
  static var documentation: String { get }

  /// The section with the default of every key.
  init()

  /// What is wrong between keys that are each right by themselves; empty where nothing is.
  var problems: [KeyProblem] { get }
}

extension ConfigurationSection {
  /// No problem.
  package var problems: [KeyProblem] { [] }

  /// The section's keys, in the order of their declaration.
  package static var schema: SectionSchema {
    SectionSchema(name, documentation, Self().declaredKeys.map(\.schema))
  }

  /// The section with some keys set.
  ///
  /// - Parameter values: By key, each fitting its schema.
  package init(_ values: [String: Value]) {
    self.init()
    let keys = declaredKeys
    for name in values.keys where !keys.contains(where: { $0.schema.name == name }) {
      preconditionFailure("section \(Self.name) declares no key \(name)")
    }
    for key in keys {
      if let value = values[key.schema.name] { key.set(value) }
    }
  }

  /// The values of keys that do not have their defaults, by key.
  package var changes: [String: Value] {
    let changed = declaredKeys.filter { $0.value != $0.schema.defaultValue }
    return Dictionary(uniqueKeysWithValues: changed.map { ($0.schema.name, $0.value) })
  }

  private var declaredKeys: [any DeclaredKey] {
    Mirror(reflecting: self).children.compactMap { $0.value as? any DeclaredKey }
  }
}

/// Sections in a section, such as one for each family of models, by type.
package struct Subsections: Sendable, Equatable {
  private var sections: [String: any ConfigurationSection] = [:]

  /// Each with its defaults.
  package init() {}

  /// The section of a type.
  package subscript<Section: ConfigurationSection>(_: Section.Type) -> Section {
    get { sections[Section.name] as? Section ?? Section() }
    set { sections[Section.name] = newValue }
  }

  /// The values of keys that do not have their defaults, by section and key.
  package var changes: [String: [String: Value]] {
    sections.mapValues(\.changes).filter { !$0.value.isEmpty }
  }

  package static func == (one: Subsections, other: Subsections) -> Bool {
    one.changes == other.changes
  }
}

/// A section with sections in it.
package protocol OuterSection: ConfigurationSection {
  /// The types of the sections in it; their names begin with this one's and a point.
  static var subsectionTypes: [any ConfigurationSection.Type] { get }
  /// What they hold.
  var subsections: Subsections { get set }
}

extension OuterSection {
  /// The keys of the section, then those of each section in it.
  package static var schemas: [SectionSchema] { [schema] + subsectionTypes.map { $0.schema } }
}
