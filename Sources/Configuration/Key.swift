/// Declares a key of the run file where its value lands: a property of a section.
///
///     @Key("heads", .model, from: 1, "Number of heads of a mixer.") package var heads = 4
///
/// It says what follows where a run goes on with another value. The property's initial value is the key's default, and its type decides what the key takes; nil makes a key
/// optional. Reading, checking, printing and the reference all follow from this one line.
@propertyWrapper
package struct Key<Content: Sendable & Equatable>: Sendable {
  /// The key as data.
  package let schema: KeySchema
  private let write: @Sendable (Content) -> Value
  private let read: @Sendable (Value) -> Content?
  private var box: Box

  /// The key's value.
  package var wrappedValue: Content {
    get { box.content }
    set { box = Box(newValue) }
  }

  /// Holds the content by reference, so that it can be set through a mirror of the section.
  ///
  /// Unchecked: it is written only while its section is read, before anything else knows the section.
  private final class Box: @unchecked Sendable {
    var content: Content
    init(_ content: Content) { self.content = content }
  }

  init(
    _ name: String, _ effect: KeyEffect, _ kind: KeyKind, _ content: Content, _ unit: String?,
    _ former: String?, _ documentation: String, write: @escaping @Sendable (Content) -> Value,
    read: @escaping @Sendable (Value) -> Content?
  ) {
    schema = KeySchema(
      name: name, effect: effect, kind: kind, defaultValue: write(content), unit: unit,
      documentation: documentation, former: former)
    (self.write, self.read, box) = (write, read, Box(content))
  }
}

extension Key: Equatable {
  package static func == (one: Key, other: Key) -> Bool { one.wrappedValue == other.wrappedValue }
}

/// A key of any type, as a mirror of its section shows it.
protocol DeclaredKey {
  var schema: KeySchema { get }
  /// The value as the run file writes it.
  var value: Value { get }
  /// Sets the value, one that fits the schema, in the section that is mirrored.
  func set(_ value: Value)
}

extension Key: DeclaredKey {
  var value: Value { write(wrappedValue) }

  func set(_ value: Value) {
    guard let content = read(value) else {
      preconditionFailure("\(schema.name) is \(value), which does not fit \(schema.kind.words)")
    }
    box.content = content
  }
}

// MARK: One value

extension Key where Content == Bool {
  /// A key that is `true` or `false`.
  package init(
    wrappedValue: Bool, _ name: String, _ effect: KeyEffect, formerly former: String? = nil,
    _ documentation: String
  ) {
    self.init(name, effect, .boolean, wrappedValue, nil, former, documentation) {
      .boolean($0)
    } read: {
      if case .boolean(let value) = $0 { value } else { nil }
    }
  }
}

extension Key where Content == Int {
  /// A key that is a whole number, `from` ≤ value ≤ `through`.
  package init(
    wrappedValue: Int, _ name: String, _ effect: KeyEffect, from: Int = 0, through: Int? = nil,
    unit: String? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    self.init(
      name, effect, .integer(Bounds(from: from, through: through)), wrappedValue, unit, former,
      documentation
    ) {
      .integer($0)
    } read: {
      if case .integer(let value) = $0 { value } else { nil }
    }
  }
}

extension Key where Content == Int? {
  /// A key that is a whole number, `from` ≤ value ≤ `through`, or not set.
  package init(
    wrappedValue: Int? = nil, _ name: String, _ effect: KeyEffect, from: Int = 0,
    through: Int? = nil,
    unit: String? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    self.init(
      name, effect, .integer(Bounds(from: from, through: through)), wrappedValue, unit, former,
      documentation
    ) {
      $0.map(Value.integer) ?? .none
    } read: {
      switch $0 {
      case .integer(let value): .some(value)
      case .none: .some(nil)
      default: nil
      }
    }
  }
}

extension Key where Content == Double {
  /// A key that is a finite number inside the given ends.
  package init(
    wrappedValue: Double, _ name: String, _ effect: KeyEffect, from: Double? = nil,
    above: Double? = nil,
    through: Double? = nil, below: Double? = nil, unit: String? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    let bounds = Bounds(from: from, above: above, through: through, below: below)
    self.init(name, effect, .number(bounds), wrappedValue, unit, former, documentation) {
      .number($0)
    } read: {
      if case .number(let value) = $0 { value } else { nil }
    }
  }
}

extension Key where Content == Double? {
  /// A key that is a finite number inside the given ends, or not set.
  package init(
    wrappedValue: Double? = nil, _ name: String, _ effect: KeyEffect, from: Double? = nil,
    above: Double? = nil,
    through: Double? = nil, below: Double? = nil, unit: String? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    let bounds = Bounds(from: from, above: above, through: through, below: below)
    self.init(name, effect, .number(bounds), wrappedValue, unit, former, documentation) {
      $0.map(Value.number) ?? .none
    } read: {
      switch $0 {
      case .number(let value): .some(value)
      case .none: .some(nil)
      default: nil
      }
    }
  }
}

extension Key where Content == String {
  /// A key that is text, or one of `choices` where these are given.
  package init(
    wrappedValue: String, _ name: String, _ effect: KeyEffect, of choices: [String]? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    precondition(
      choices?.contains(wrappedValue) ?? true, "\(name): \(wrappedValue) is no choice")
    self.init(
      name, effect, choices.map(KeyKind.choice) ?? .string, wrappedValue, nil, former, documentation
    ) {
      .string($0)
    } read: {
      if case .string(let value) = $0 { value } else { nil }
    }
  }
}

extension Key where Content == String? {
  /// A key that is text, or not set.
  package init(
    wrappedValue: String? = nil, _ name: String, _ effect: KeyEffect,
    formerly former: String? = nil,
    _ documentation: String
  ) {
    self.init(name, effect, .string, wrappedValue, nil, former, documentation) {
      $0.map(Value.string) ?? .none
    } read: {
      switch $0 {
      case .string(let value): .some(value)
      case .none: .some(nil)
      default: nil
      }
    }
  }
}

/// A type whose cases are the choices of a key.
package protocol KeyChoice: RawRepresentable<String>, CaseIterable, Equatable, Sendable {}

extension Key where Content: KeyChoice {
  /// A key that is one of a type's cases, by its raw value.
  package init(
    wrappedValue: Content, _ name: String, _ effect: KeyEffect, formerly former: String? = nil,
    _ documentation: String
  ) {
    let choices = Content.allCases.map(\.rawValue)
    self.init(name, effect, .choice(choices), wrappedValue, nil, former, documentation) {
      .string($0.rawValue)
    } read: {
      if case .string(let name) = $0 { Content(rawValue: name) } else { nil }
    }
  }
}

/// A type that any text describes.
package protocol KeyText: Equatable, Sendable {
  /// Reads the text of the run file.
  init(text: String)
  /// The text that reads back as the same value.
  var text: String { get }
}

extension Key where Content: KeyText {
  /// A key that is text with a meaning of its own.
  package init(
    wrappedValue: Content, _ name: String, _ effect: KeyEffect, formerly former: String? = nil,
    _ documentation: String
  ) {
    self.init(name, effect, .string, wrappedValue, nil, former, documentation) {
      .string($0.text)
    } read: {
      if case .string(let text) = $0 { Content(text: text) } else { nil }
    }
  }
}

// MARK: Lists

extension Key where Content == [Int] {
  /// A key that is a list of whole numbers ≥ `from`.
  package init(
    wrappedValue: [Int], _ name: String, _ effect: KeyEffect, from: Int = 0,
    formerly former: String? = nil,
    _ documentation: String
  ) {
    self.init(
      name, effect, .list(.integer(Bounds(from: from))), wrappedValue, nil, former, documentation
    ) {
      .list($0.map(Value.integer))
    } read: {
      guard case .list(let items) = $0 else { return nil }
      return items.compactMap { if case .integer(let value) = $0 { value } else { nil } }
    }
  }
}

extension Key where Content == [String] {
  /// A key that is one text or a list of them, each one of `choices` where these are given.
  package init(
    wrappedValue: [String], _ name: String, _ effect: KeyEffect, of choices: [String]? = nil,
    formerly former: String? = nil, _ documentation: String
  ) {
    self.init(
      name, effect, .list(choices.map(KeyKind.choice) ?? .string), wrappedValue, nil, former,
      documentation
    ) {
      .list($0.map(Value.string))
    } read: {
      guard case .list(let items) = $0 else { return nil }
      return items.compactMap { if case .string(let value) = $0 { value } else { nil } }
    }
  }
}

extension Key where Content == [WeightedPath] {
  /// A key that is one path, or several with weights.
  package init(
    wrappedValue: [WeightedPath], _ name: String, _ effect: KeyEffect,
    formerly former: String? = nil,
    _ documentation: String
  ) {
    self.init(name, effect, .weightedPaths, wrappedValue, nil, former, documentation) {
      $0.isEmpty ? .none : .weightedPaths($0)
    } read: {
      switch $0 {
      case .weightedPaths(let paths): paths
      case .none: []
      default: nil
      }
    }
  }
}
