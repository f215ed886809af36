import Foundation

/// How JSON is written: the keys of an object sorted, whole numbers exactly, other numbers in the shortest form
/// that reads back as the same number.
extension JSONValue {
  /// The value on one line; a number that is not finite is `null`, as JSON has no word for it.
  package var text: String {
    var text = ""
    write(to: &text, indent: nil)
    return text
  }

  /// The text of a file: indented, with a line break at its end.
  ///
  /// A number that is not finite is `Infinity`, `-Infinity` or `NaN`: as Python writes it, and as `init(_:)` reads it.
  package var encoded: Data {
    var text = ""
    write(to: &text, indent: 0)
    return Data((text + "\n").utf8)
  }

  /// A text as JSON writes it, between quotes, which is a double-quoted YAML scalar too.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        result += String(format: "\\u%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// Appends the value.
  ///
  /// - Parameter indent: Columns that its line is indented by; nil for all on one line.
  private func write(to text: inout String, indent: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value) where value.isFinite: text += "\(value)"
    case .number(let value):
      text +=
        indent == nil ? "null" : value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity"
    case .string(let value): text += Self.quoted(value)
    case .array(let values):
      Self.write(values, between: ("[", "]"), to: &text, indent: indent) { value, text, indent in
        value.write(to: &text, indent: indent)
      }
    case .object(let fields):
      let sorted = fields.sorted { $0.key < $1.key }
      Self.write(sorted, between: ("{", "}"), to: &text, indent: indent) { field, text, indent in
        text += Self.quoted(field.key) + (indent == nil ? ":" : ": ")
        field.value.write(to: &text, indent: indent)
      }
    }
  }

  private static func write<Item>(
    _ items: [Item], between brackets: (String, String), to text: inout String, indent: Int?,
    _ write: (Item, inout String, Int?) -> Void
  ) {
    let inner = items.isEmpty ? nil : indent.map { $0 + 2 }
    func breakLine(_ columns: Int) { text += "\n" + String(repeating: " ", count: columns) }
    text += brackets.0
    for (index, item) in items.enumerated() {
      if index > 0 { text += "," }
      if let inner { breakLine(inner) }
      write(item, &text, inner)
    }
    if inner != nil, let indent { breakLine(indent) }
    text += brackets.1
  }
}
