/// The keys of one section of the run file, as data.
package struct SectionSchema: Sendable {
  /// Name in the run file, with the sections around it; empty for the keys that stand outside all sections.
  package let name: String
  /// One line of documentation.
  package let documentation: String
  /// The keys, in the order in which they are printed.
  package let keys: [KeySchema]

  init(_ name: String, _ documentation: String, _ keys: [KeySchema]) {
    precondition(
      Set(keys.map(\.name)).count == keys.count, "section \(name) declares a key twice")
    self.name = name
    self.documentation = documentation
    self.keys = keys
  }

  /// The key of that name, or nil.
  package func key(_ name: String) -> KeySchema? {
    keys.first { $0.name == name }
  }

  /// The name by which a key is spoken of: `section.key`, or `key` outside all sections.
  package func path(of key: String) -> String {
    name.isEmpty ? key : "\(name).\(key)"
  }

  /// The sections around this one, outermost first, and its own name: `model`, `tnl`.
  var components: [String] { name.split(separator: ".").map(String.init) }
}
