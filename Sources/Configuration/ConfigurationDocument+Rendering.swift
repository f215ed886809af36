extension ConfigurationDocument {
  /// The resolved run file: every key with its value and a comment.
  ///
  /// Reading it back gives the same values.
  public var yaml: String {
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

  /// The resolved values as one line of JSON: an object of sections, each an object of keys.
  public var json: String {
    let members = schemas.flatMap { schema -> [String] in
      let values = sectionValues(schema)
      let keys = schema.keys.map { "\"\($0.name)\":\(values[$0.name].json)" }
      return schema.name.isEmpty
        ? keys : ["\"\(schema.name)\":{" + keys.joined(separator: ",") + "}"]
    }
    return "{" + members.joined(separator: ",") + "}"
  }

  /// A number that differs where the values of any key differ: FNV-1a, 64 bits, of the JSON text.
  ///
  /// It depends on nothing but the values, so that ranks on different hosts can compare theirs.
  /// Source: Fowler, Noll and Vo, "The FNV Non-Cryptographic Hash Algorithm".
  public var digest: UInt64 {
    json.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
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
