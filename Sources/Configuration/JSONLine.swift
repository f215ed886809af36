import Foundation

/// One line of JSON: an object whose keys keep the order in which they were given.
///
/// Values are written as `JSONValue.text` says.
package struct JSONLine: Sendable {
  private var members: [String] = []

  /// An object without keys.
  package init() {}

  /// Adds any value.
  package mutating func set(_ key: String, _ value: JSONValue) { set(key, text: value.text) }

  /// Adds a number; nil is `null`.
  package mutating func set(_ key: String, _ value: Double?) {
    set(key, value.map(JSONValue.number) ?? .null)
  }

  /// Adds a whole number.
  package mutating func set(_ key: String, _ value: Int) { set(key, .integer(value)) }

  /// Adds a text.
  package mutating func set(_ key: String, _ value: String) { set(key, .string(value)) }

  /// Adds a list of numbers.
  package mutating func set(_ key: String, _ values: [Double]) {
    set(key, .array(values.map(JSONValue.number)))
  }

  /// Adds a list of whole numbers.
  package mutating func set(_ key: String, _ values: [Int]) {
    set(key, .array(values.map(JSONValue.integer)))
  }

  /// Adds a list of texts.
  package mutating func set(_ key: String, _ values: [String]) {
    set(key, .array(values.map(JSONValue.string)))
  }

  /// Adds an object.
  package mutating func set(_ key: String, _ object: JSONLine) { set(key, text: object.text) }

  /// Adds a list of objects.
  package mutating func set(_ key: String, objects: [JSONLine]) {
    set(key, text: "[" + objects.map(\.text).joined(separator: ",") + "]")
  }

  /// The object, without a line break.
  package var text: String { "{" + members.joined(separator: ",") + "}" }

  /// The object as a value, whose keys have no order.
  package var value: JSONValue { (try? JSONValue(Data(text.utf8))) ?? [:] }

  private mutating func set(_ key: String, text: String) {
    members.append(JSONValue.quoted(key) + ":" + text)
  }
}
