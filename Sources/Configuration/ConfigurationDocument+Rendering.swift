extension ConfigurationDocument {
  /// The resolved run file: every key with its value and a comment.
  ///
  /// Reading it back gives the same values.
  package var yaml: String {
    schemas.map { schema in
      let indent = schema.name.isEmpty ? "" : "  "
      let values = sectionValues(schema)
      let lines = schema.keys.map { key in
        "\(indent)# \(key.summary)\n\(indent)\(key.name): \(values[key.name].yaml)\n"
      }
      let heading = "# \(schema.documentation)\n"
      return heading + (schema.name.isEmpty ? "" : "\(schema.name):\n") + lines.joined()
    }.joined(separator: "\n")
  }

  /// The resolved values: an object of sections, each an object of keys, in the order of the schemas.
  package var json: JSONLine {
    var document = JSONLine()
    for schema in schemas {
      let values = sectionValues(schema)
      var section = schema.name.isEmpty ? document : JSONLine()
      for key in schema.keys { section.set(key.name, values[key.name].json) }
      if schema.name.isEmpty { document = section } else { document.set(schema.name, section) }
    }
    return document
  }

  /// A number that differs where the values of any key differ: FNV-1a, 64 bits, of the JSON text.
  ///
  /// It depends on nothing but the values, so that ranks on different hosts can compare theirs.
  /// Source: Fowler, Noll and Vo, "The FNV Non-Cryptographic Hash Algorithm".
  package var digest: UInt64 {
    json.text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}

extension Key {
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
