/// What values a key takes.
package indirect enum KeyKind: Sendable {
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
  case list(KeyKind)
  /// One path, a list of paths, or a list of `{path: …, weight: …}`.
  case weightedPaths
  /// A list of mappings with these keys.
  case maps([KeySchema])

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
    case .maps(let keys): "a list of {" + keys.map { "\($0.name): …" }.joined(separator: ", ") + "}"
    case .weightedPaths: "a path, a list of paths, or a list of {path: …, weight: …}"
    }
  }
}

/// What it means to a run that goes on from a checkpoint that a key has another value.
package enum KeyEffect: Sendable {
  /// It would be another model.
  case model
  /// It would read other data, or the same in another order.
  case data
  /// It goes on with the same model and data, and takes another course.
  case course
  /// It is computed, stored or named in another way, and nothing else changes.
  case layout

  /// Whether a run goes on with it only where that is asked for.
  package var isAnotherRun: Bool { self == .model || self == .data }
}

/// A key of the run file as data: what `@Key` declares, without its Swift type.
package struct KeySchema: Sendable {
  /// Name inside the section, in snake case.
  package let name: String
  /// What it means that a run goes on with another value.
  package let effect: KeyEffect
  /// What values it takes.
  package let kind: KeyKind
  /// Value where neither the run file nor the command line gives one; `none` makes the key
  /// optional.
  package let defaultValue: Value
  /// Unit of the value, such as `tokens`; nil for what has none.
  package let unit: String?
  /// One line of documentation.
  package let documentation: String
  /// `section.key` by which it went before; who still writes that is told the new name.
  package let former: String?
}
