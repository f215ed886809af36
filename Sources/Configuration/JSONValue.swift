import Foundation

/// Any JSON value: what keeps the keys of a `config.json` that this program does not know.
package enum JSONValue: Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A whole number.
  case integer(Int)
  /// A number that is written with a fraction or an exponent, such as `1.0`, or beyond 64 bits.
  case number(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// Values by name.
  case object([String: JSONValue])

  /// The value under a key of an object; nil when there is none, or when this is no object.
  package subscript(_ key: String) -> JSONValue? {
    if case .object(let fields) = self { fields[key] } else { nil }
  }

  /// The flag, if this is one.
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// The whole number, if this is one.
  package var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The number; infinity may stand as `Infinity` or as `{"__float__": "Infinity"}`.
  package var number: Double? {
    switch self {
    case .integer(let value): return Double(value)
    case .number(let value): return value
    case .object(let fields):
      guard fields.count == 1, case .string(let text)? = fields["__float__"] else { return nil }
      return ["Infinity": .infinity, "-Infinity": -.infinity, "NaN": .nan][text]
    default: return nil
    }
  }

  /// The text, if this is one.
  package var string: String? { if case .string(let value) = self { value } else { nil } }

  /// The list, if this is one.
  package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

  /// The values by name, if this is an object.
  package var object: [String: JSONValue]? {
    if case .object(let value) = self { value } else { nil }
  }

  /// Reads JSON text; `Infinity` and `NaN` without quotes are accepted, as Python writes them.
  ///
  /// - Throws: `JSONError` when it is not JSON.
  package init(_ text: Data) throws(JSONError) {
    guard let value = JSONParser.value(of: text) else { throw JSONError() }
    self = value
  }
}

/// Text that is not JSON.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  /// What is wrong, as it stands behind what was read.
  package var description: String { "it is not JSON" }
}

extension JSONValue: Equatable {
  /// Numbers are equal where their values are, however they are written.
  package static func == (a: JSONValue, b: JSONValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.integer(let a), .integer(let b)): a == b
    case (.number(let a), .number(let b)): a == b
    case (.integer(let a), .number(let b)), (.number(let b), .integer(let a)):
      Int(exactly: b) == a
    case (.string(let a), .string(let b)): a == b
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a == b
    default: false
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  /// A text.
  package init(stringLiteral value: String) { self = .string(value) }
  /// A whole number.
  package init(integerLiteral value: Int) { self = .integer(value) }
  /// A number.
  package init(floatLiteral value: Double) { self = .number(value) }
  /// A flag.
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  /// A list.
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// Values by name; a key may stand once.
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(uniqueKeysWithValues: elements))
  }
}
