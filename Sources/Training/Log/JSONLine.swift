import Configuration

/// One line of JSON: an object whose keys keep the order in which they were given.
///
/// Concretely: a number is written in the shortest form that reads back as the same number, and one
/// that is not finite as `null`: JSON has no other word for it.
struct JSONLine: Sendable {
  private var members: [String] = []

  /// An object without keys.
  init() {}

  /// Adds a number.
  mutating func set(_ key: String, _ value: Double?) { set(key, json: Self.text(value)) }

  /// Adds a whole number.
  mutating func set(_ key: String, _ value: Int) { set(key, json: String(value)) }

  /// Adds a text.
  mutating func set(_ key: String, _ value: String) { set(key, json: Value.string(value).json) }

  /// Adds a list of numbers.
  mutating func set(_ key: String, _ values: [Double]) { set(key, list: values.map(Self.text)) }

  /// Adds a list of whole numbers.
  mutating func set(_ key: String, _ values: [Int]) { set(key, list: values.map(String.init)) }

  /// Adds a list of texts.
  mutating func set(_ key: String, _ values: [String]) {
    set(key, list: values.map { Value.string($0).json })
  }

  /// Adds a list of objects.
  mutating func set(_ key: String, objects: [JSONLine]) { set(key, list: objects.map(\.text)) }

  /// Adds a value that is JSON text already.
  mutating func set(_ key: String, json: String) { members.append("\"\(key)\":\(json)") }

  /// The object, without a line break.
  var text: String { "{" + members.joined(separator: ",") + "}" }

  private mutating func set(_ key: String, list: [String]) {
    set(key, json: "[" + list.joined(separator: ",") + "]")
  }

  private static func text(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "null" }
    return "\(value)"
  }
}
