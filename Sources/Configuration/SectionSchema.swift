/// The keys of one section of the run file, as data.
package struct SectionSchema: Sendable {
  /// Name in the run file; empty for the keys that stand outside all sections.
  package let name: String
  /// One line of documentation.
  package let documentation: String
  /// The keys, in the order in which they are printed.
  package let keys: [Key]

  /// Makes a schema.
  ///
  /// - Parameters:
  ///   - name: Name in the run file; empty for the keys outside all sections.
  ///   - documentation: One line that says what the section decides.
  ///   - keys: The keys, each name once.
  package init(_ name: String, _ documentation: String, _ keys: [Key]) {
    precondition(
      Set(keys.map(\.name)).count == keys.count, "section \(name) declares a key twice")
    self.name = name
    self.documentation = documentation
    self.keys = keys
  }

  /// The key of that name, or nil.
  package func key(_ name: String) -> Key? {
    keys.first { $0.name == name }
  }

  /// The name by which a key is spoken of: `section.key`, or `key` outside all sections.
  package func path(of key: String) -> String {
    name.isEmpty ? key : "\(name).\(key)"
  }
}

/// A section of the run file as its owner reads it.
///
/// An owner declares a struct with a documented property for each key, a schema, and how to read
/// the properties from values. What no single key can know (heads must divide the dimension) it
/// reports from `problems`.
package protocol ConfigurationSection: Sendable {
  /// The section's keys.
  static var schema: SectionSchema { get }

  /// Reads the section from values that fit the schema.
  init(_ values: SectionValues)

  /// What is wrong between keys that are each right by themselves; empty where nothing is.
  var problems: [KeyProblem] { get }
}

extension ConfigurationSection {
  /// No problem.
  package var problems: [KeyProblem] { [] }

  /// The section with the default of every key.
  package static var defaults: Self {
    Self(SectionValues(schema: schema, values: [:]))
  }
}
