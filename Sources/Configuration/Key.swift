/// What values a key takes.
package indirect enum Kind: Sendable {
  /// `true` or `false`.
  case boolean
  /// A whole number inside bounds.
  case integer(Bounds<Int>)
  /// A finite number inside bounds.
  case number(Bounds<Double>)
  /// Any text.
  case string
  /// One of the names.
  case choice([String])
  /// A list of values of one kind.
  case list(Kind)
  /// One path, a list of paths, or a list of `{path: …, weight: …}`.
  case weightedPaths

  /// What to write, such as `an integer ≥ 1`.
  package var words: String {
    switch self {
    case .boolean: "true or false"
    case .integer(let bounds): "an integer" + bounds.words
    case .number(let bounds): "a number" + bounds.words
    case .string: "text"
    case .choice(let names):
      names.count == 1 ? names[0] : "one of " + names.joined(separator: ", ")
    case .list(.string): "text or a list of texts"
    case .list(let kind): "a list, each item " + kind.words
    case .weightedPaths: "a path, a list of paths, or a list of {path: …, weight: …}"
    }
  }
}

/// One key of a section: its name, what it takes, its default, and what it means.
package struct Key: Sendable {
  /// Name inside the section, in snake case.
  package let name: String
  /// What values it takes.
  package let kind: Kind
  /// Value where neither the run file nor the command line gives one; `none` makes the key
  /// optional.
  package let defaultValue: Value
  /// Unit of the value, such as `tokens`; nil for what has none.
  package let unit: String?
  /// One line of documentation.
  package let documentation: String

  /// A key that is `true` or `false`.
  package static func boolean(_ name: String, _ value: Bool, _ documentation: String) -> Key {
    Key(
      name: name, kind: .boolean, defaultValue: .boolean(value), unit: nil,
      documentation: documentation)
  }

  /// A key that is a whole number, `from` ≤ value ≤ `through`; optional where `value` is nil.
  package static func integer(
    _ name: String, _ value: Int?, from: Int = 0, through: Int? = nil, unit: String? = nil,
    _ documentation: String
  ) -> Key {
    Key(
      name: name, kind: .integer(Bounds(from: from, through: through)),
      defaultValue: value.map(Value.integer) ?? .none, unit: unit, documentation: documentation)
  }

  /// A key that is a number inside the given ends; optional where `value` is nil.
  package static func number(
    _ name: String, _ value: Double?, from: Double? = nil, above: Double? = nil,
    through: Double? = nil, below: Double? = nil, unit: String? = nil, _ documentation: String
  ) -> Key {
    Key(
      name: name,
      kind: .number(Bounds(from: from, above: above, through: through, below: below)),
      defaultValue: value.map(Value.number) ?? .none, unit: unit, documentation: documentation)
  }

  /// A key that is text; optional where `value` is nil.
  package static func string(_ name: String, _ value: String?, _ documentation: String) -> Key {
    Key(
      name: name, kind: .string, defaultValue: value.map(Value.string) ?? .none, unit: nil,
      documentation: documentation)
  }

  /// A key that is one of the names in `choices`.
  package static func choice(
    _ name: String, _ value: String, of choices: [String], _ documentation: String
  ) -> Key {
    precondition(choices.contains(value), "\(name): default \(value) is not among \(choices)")
    return Key(
      name: name, kind: .choice(choices), defaultValue: .string(value), unit: nil,
      documentation: documentation)
  }

  /// A key that is a list of whole numbers ≥ `from`, empty by default.
  package static func integers(_ name: String, from: Int = 0, _ documentation: String) -> Key {
    Key(
      name: name, kind: .list(.integer(Bounds(from: from))), defaultValue: .list([]), unit: nil,
      documentation: documentation)
  }

  /// A key that is a list of the names in `choices`, empty by default.
  package static func choices(
    _ name: String, of choices: [String], _ documentation: String
  ) -> Key {
    Key(
      name: name, kind: .list(.choice(choices)), defaultValue: .list([]), unit: nil,
      documentation: documentation)
  }

  /// A key that is one text or a list of them, empty by default.
  package static func texts(_ name: String, _ documentation: String) -> Key {
    Key(
      name: name, kind: .list(.string), defaultValue: .list([]), unit: nil,
      documentation: documentation)
  }

  /// A key that is one path, or several with weights; none by default.
  package static func weightedPaths(_ name: String, _ documentation: String) -> Key {
    Key(
      name: name, kind: .weightedPaths, defaultValue: .none, unit: nil,
      documentation: documentation)
  }
}
