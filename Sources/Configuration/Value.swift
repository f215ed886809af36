/// A file or folder with the share of the data that is drawn from it.
package struct WeightedPath: Sendable, Equatable {
  /// Path as the user wrote it, relative to the current directory.
  package var path: String
  /// Relative weight, greater than 0; only its ratio to the other weights matters.
  package var weight: Double

  package init(path: String, weight: Double = 1) {
    self.path = path
    self.weight = weight
  }
}

/// The value of a key of the run file.
package enum Value: Sendable, Equatable {
  /// No value: an optional key that is not set.
  case none
  /// `true` or `false`.
  case boolean(Bool)
  /// A whole number.
  case integer(Int)
  /// A finite number.
  case number(Double)
  /// Text, a path, or the name of a choice.
  case string(String)
  /// Values of one kind, in order.
  case list([Value])
  /// Paths with weights, in order.
  case weightedPaths([WeightedPath])
  /// Mappings, in order.
  case maps([ValueMap])
}

extension Value {
  /// The value as YAML that reads back as the same value.
  package var yaml: String {
    switch self {
    case .none: "null"
    case .boolean(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .number(let value): Value.text(of: value)
    case .string(let value): Value.isPlain(value) ? value : JSONValue.quoted(value)
    case .list(let values): "[" + values.map(\.yaml).joined(separator: ", ") + "]"
    case .maps(let maps): "[" + maps.map(\.yaml).joined(separator: ", ") + "]"
    case .weightedPaths(let paths):
      paths.count == 1 && paths[0].weight == 1
        ? Value.string(paths[0].path).yaml
        : "[" + paths.map(Value.yaml(of:)).joined(separator: ", ") + "]"
    }
  }

  /// The value as JSON.
  package var json: JSONValue {
    switch self {
    case .none: .null
    case .boolean(let value): .bool(value)
    case .integer(let value): .integer(value)
    case .number(let value): .number(value)
    case .string(let value): .string(value)
    case .list(let values): .array(values.map(\.json))
    case .maps(let maps): .array(maps.map(\.json))
    case .weightedPaths(let paths):
      .array(paths.map { ["path": .string($0.path), "weight": .number($0.weight)] })
    }
  }

  /// The shortest decimal that reads back as `number`, with a point where there is an exponent.
  ///
  /// YAML 1.1 readers take `1e-05` for text, and `1.0e-05` for a number.
  static func text(of number: Double) -> String {
    let text = "\(number)"
    guard let exponent = text.firstIndex(of: "e"), !text.contains(".") else { return text }
    return text[..<exponent] + ".0" + text[exponent...]
  }

  private static func yaml(of path: WeightedPath) -> String {
    let name = Value.string(path.path).yaml
    return path.weight == 1 ? name : "{path: \(name), weight: \(text(of: path.weight))}"
  }

  /// Whether `text` reads back as the same text without quotes, wherever it stands.
  private static func isPlain(_ text: String) -> Bool {
    let safe = text.unicodeScalars.allSatisfy {
      ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
        || "_-./+".unicodeScalars.contains($0)
    }
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
    guard safe, !reserved.contains(text.lowercased()), Double(text) == nil else { return false }
    return ["/", "./", "../"].contains { text.hasPrefix($0) } || text.first?.isLetter == true
  }
}
