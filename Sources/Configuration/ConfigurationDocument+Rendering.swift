extension ConfigurationDocument {
  /// The resolved run file: every key with its value and a comment.
  ///
  /// Reading it back gives the same values.
  package var yaml: String { yaml { _, _ in true } }

  /// The run file of some keys alone; a section without any is left out.
  package func yaml(of isWanted: (_ section: String, _ key: String) -> Bool) -> String {
    let sections = schemas.filter { !unprinted.contains($0.name) }.compactMap { schema in
      let keys = schema.keys.filter { isWanted(schema.name, $0.name) }.compactMap { key in
        printed(key, in: schema).map { (schema: key, value: $0) }
      }
      guard !keys.isEmpty else { return nil as String? }
      let depth = schema.components.count
      let indent = String(repeating: "  ", count: depth)
      let outer = String(indent.dropLast(2))
      let lines = keys.map { key in
        "\(indent)# \(key.schema.summary)\n\(indent)\(key.schema.name): \(key.value.yaml)\n"
      }
      let heading = schema.components.last.map { "\(outer)\($0):\n" } ?? ""
      return (depth > 1 ? "" : "\n") + "\(outer)# \(schema.documentation)\n" + heading
        + lines.joined()
    }
    return String(sections.joined().drop { $0 == "\n" })
  }

  /// The resolved values: an object of sections, each an object of keys, in the order of the schemas.
  package var json: JSONLine {
    var document = JSONLine()
    for schema in schemas where schema.name.isEmpty { set(schema, in: &document) }
    for schema in schemas where schema.components.count == 1 {
      document.set(schema.name, object(schema))
    }
    return document
  }

  private func object(_ schema: SectionSchema) -> JSONLine {
    var object = JSONLine()
    set(schema, in: &object)
    for inner in schemas
    where inner.components.dropLast() == schema.components[...] && !unprinted.contains(inner.name) {
      object.set(inner.components.last!, self.object(inner))
    }
    return object
  }

  private func set(_ schema: SectionSchema, in object: inout JSONLine) {
    for key in schema.keys {
      if let value = printed(key, in: schema) { object.set(key.name, value.json) }
    }
  }

  /// A number that differs where the values of any key differ, of the JSON text.
  ///
  /// It depends on nothing but the values, so that ranks on different hosts can compare theirs.
  package var digest: UInt64 { json.text.utf8.fnv1a }
}

extension KeySchema {
  /// The documentation with choices and unit: `Optimizer steps to run. [steps]`.
  var summary: String {
    let choices: String? =
      switch kind {
      case .choice(let names) where names.count > 1: names.joined(separator: " | ")
      case .list(.choice(let names)): "of " + names.joined(separator: " | ")
      default: nil
      }
    let notes = [choices, unit].compactMap { $0 }
    return notes.isEmpty ? documentation : "\(documentation) [\(notes.joined(separator: "; "))]"
  }
}
