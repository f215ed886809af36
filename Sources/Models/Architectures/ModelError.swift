import Configuration

/// What can be wrong with a model's description.
package indirect enum ModelError: Error, CustomStringConvertible {
  /// A key that must be there is not.
  case missingKey(String)
  /// A key's value is of another type.
  case wrongType(key: String, value: JSONValue, wanted: String)
  /// A key's value is not possible.
  case impossible(key: String, reason: String)
  /// A model type that no architecture provides.
  case unknownModel(String, known: [String])
  /// A model type that is known and not provided, and why or what instead.
  case refusedModel(String, reason: String)
  /// Several things at once.
  case several([ModelError])

  /// All problems as one, or nil where there is none.
  init?(_ problems: [ModelError]) {
    guard let first = problems.first else { return nil }
    self = problems.count == 1 ? first : .several(problems)
  }

  /// One sentence; the file's name is added by who read it.
  package var description: String {
    switch self {
    case .missingKey(let key): "the key \(key) is missing"
    case .wrongType(let key, let value, let wanted):
      "\(key) is \(value.shortText), \(value.typeName), but must be \(wanted)"
    case .impossible(let key, let reason): "\(key): \(reason)"
    case .unknownModel(let name, let known):
      "model_type \"\(name)\" is not known; known are \(known.sorted().joined(separator: ", "))"
    case .refusedModel(let name, let reason): "model_type \"\(name)\": \(reason)"
    case .several(let problems):
      problems.prefix(6).map(\.description).joined(separator: "; ")
        + (problems.count > 6 ? "; and \(problems.count - 6) more" : "")
    }
  }
}

extension JSONValue {
  /// The value as JSON, cut where it is long.
  var shortText: String {
    let whole = text
    return whole.count > 40 ? whole.prefix(39) + "…" : whole
  }

  fileprivate var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .integer: "a whole number"
    case .number: "a number"
    case .string: "a text"
    case .array: "a list"
    case .object: "an object"
    }
  }
}
