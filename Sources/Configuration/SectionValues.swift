/// The values of one section, by key: the default where nothing else was given.
///
/// Every accessor's key and type must be those of the schema; another is a programmer's mistake.
package struct SectionValues: Sendable {
  /// The section's schema.
  package let schema: SectionSchema
  private let values: [String: Value]

  /// Makes the values of a section.
  ///
  /// - Parameters:
  ///   - schema: The section's schema.
  ///   - values: Values that are not the default, each fitting the schema.
  package init(schema: SectionSchema, values: [String: Value]) {
    self.schema = schema
    self.values = values
  }

  /// The value of a key, or its default.
  package subscript(_ key: String) -> Value {
    guard let declared = schema.key(key) else {
      preconditionFailure("section \(schema.name) declares no key \(key)")
    }
    return values[key] ?? declared.defaultValue
  }

  /// A key that is `true` or `false`.
  package func boolean(_ key: String) -> Bool {
    guard case .boolean(let value) = self[key] else { return mismatch(key, "a boolean") }
    return value
  }

  /// A whole number.
  package func integer(_ key: String) -> Int {
    guard let value = optionalInteger(key) else { return mismatch(key, "an integer") }
    return value
  }

  /// A whole number, or nil where none is set.
  package func optionalInteger(_ key: String) -> Int? {
    switch self[key] {
    case .integer(let value): value
    case .none: nil
    default: mismatch(key, "an integer")
    }
  }

  /// A number.
  package func number(_ key: String) -> Double {
    guard let value = optionalNumber(key) else { return mismatch(key, "a number") }
    return value
  }

  /// A number, or nil where none is set.
  package func optionalNumber(_ key: String) -> Double? {
    switch self[key] {
    case .number(let value): value
    case .none: nil
    default: mismatch(key, "a number")
    }
  }

  /// Text, or the name of a choice.
  package func string(_ key: String) -> String {
    guard let value = optionalString(key) else { return mismatch(key, "text") }
    return value
  }

  /// Text, or nil where none is set.
  package func optionalString(_ key: String) -> String? {
    switch self[key] {
    case .string(let value): value
    case .none: nil
    default: mismatch(key, "text")
    }
  }

  /// A list of whole numbers.
  package func integers(_ key: String) -> [Int] {
    list(key).map {
      guard case .integer(let value) = $0 else { return mismatch(key, "a list of integers") }
      return value
    }
  }

  /// A list of texts or choices.
  package func strings(_ key: String) -> [String] {
    list(key).map {
      guard case .string(let value) = $0 else { return mismatch(key, "a list of texts") }
      return value
    }
  }

  /// Paths with their weights; empty where none is set.
  package func weightedPaths(_ key: String) -> [WeightedPath] {
    switch self[key] {
    case .weightedPaths(let paths): paths
    case .none: []
    default: mismatch(key, "a list of paths")
    }
  }

  private func list(_ key: String) -> [Value] {
    guard case .list(let values) = self[key] else { return mismatch(key, "a list") }
    return values
  }

  private func mismatch<Result>(_ key: String, _ expected: String) -> Result {
    preconditionFailure("\(schema.path(of: key)) is \(self[key]), read as \(expected)")
  }
}
