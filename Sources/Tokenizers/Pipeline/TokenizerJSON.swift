/// JSON text as it stands in a file of a tokenizer: keys in their order, and such as Unicode calls equivalent apart.
enum TokenizerJSON {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number.
  case number(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([TokenizerJSON])
  /// Values by name, in order.
  case object([(key: String, value: TokenizerJSON)])

  /// The value under a key of an object; nil when there is none, or `null`.
  subscript(_ key: String) -> TokenizerJSON? {
    guard case .object(let fields) = self, let value = fields.last(where: { $0.key == key })?.value,
      !value.isNull
    else { return nil }
    return value
  }

  /// Whether this is `null`.
  var isNull: Bool { if case .null = self { true } else { false } }
  /// The flag, if this is one.
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The number, if this is one.
  var number: Double? { if case .number(let value) = self { value } else { nil } }
  /// The whole number, if this is one that a token may be.
  var integer: Int? { number.flatMap { Int(exactly: $0) } }
  /// The text, if this is one.
  var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The list, if this is one.
  var array: [TokenizerJSON]? { if case .array(let value) = self { value } else { nil } }
  /// The values by name, if this is an object.
  var fields: [(key: String, value: TokenizerJSON)]? {
    if case .object(let value) = self { value } else { nil }
  }

  /// Reads JSON text; nil when it is none.
  init?(_ text: [UInt8]) {
    let value: TokenizerJSON? = text.withUnsafeBytes { text in
      var reader = TokenizerJSONReader(text: text)
      guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
      return value
    }
    guard let value else { return nil }
    self = value
  }
}

/// Reads JSON from its start to its end.
private struct TokenizerJSONReader {
  let text: UnsafeRawBufferPointer
  var index = 0

  private static let deepest = 200

  init(text: UnsafeRawBufferPointer) { self.text = text }

  /// Whether only white space is left.
  var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return index == text.count
    }
  }

  private mutating func skipSpace() {
    while index < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[index]) { index += 1 }
  }

  private mutating func take(_ byte: Character) -> Bool {
    skipSpace()
    guard index < text.count, text[index] == byte.asciiValue else { return false }
    index += 1
    return true
  }

  private mutating func take(word: String) -> Bool {
    guard text[index...].starts(with: word.utf8) else { return false }
    index += word.utf8.count
    return true
  }

  mutating func value(depth: Int) -> TokenizerJSON? {
    skipSpace()
    guard index < text.count, depth < Self.deepest else { return nil }
    switch text[index] {
    case UInt8(ascii: "{"): return object(depth: depth)
    case UInt8(ascii: "["): return array(depth: depth)
    case UInt8(ascii: "\""): return string().map { .string($0) }
    case UInt8(ascii: "t"): return take(word: "true") ? .bool(true) : nil
    case UInt8(ascii: "f"): return take(word: "false") ? .bool(false) : nil
    case UInt8(ascii: "n"): return take(word: "null") ? .null : nil
    default: return number()
    }
  }

  private mutating func object(depth: Int) -> TokenizerJSON? {
    index += 1
    var fields: [(key: String, value: TokenizerJSON)] = []
    if take("}") { return .object(fields) }
    repeat {
      skipSpace()
      guard index < text.count, text[index] == UInt8(ascii: "\""), let key = string(), take(":"),
        let value = value(depth: depth + 1)
      else { return nil }
      fields.append((key, value))
    } while take(",")
    return take("}") ? .object(fields) : nil
  }

  private mutating func array(depth: Int) -> TokenizerJSON? {
    index += 1
    var values: [TokenizerJSON] = []
    if take("]") { return .array(values) }
    repeat {
      guard let value = value(depth: depth + 1) else { return nil }
      values.append(value)
    } while take(",")
    return take("]") ? .array(values) : nil
  }

  private mutating func number() -> TokenizerJSON? {
    let start = index
    while index < text.count, "+-.0123456789eE".utf8.contains(text[index]) { index += 1 }
    return Double(String(decoding: text[start..<index], as: UTF8.self)).map { .number($0) }
  }

  private mutating func string() -> String? {
    index += 1
    let start = index
    while index < text.count, text[index] != UInt8(ascii: "\""), text[index] != UInt8(ascii: "\\") {
      index += 1
    }
    guard index < text.count else { return nil }
    if text[index] == UInt8(ascii: "\"") {
      defer { index += 1 }
      return String(validating: text[start..<index], as: UTF8.self)
    }
    var bytes = Array(text[start..<index])
    while index < text.count, text[index] != UInt8(ascii: "\"") {
      if text[index] == UInt8(ascii: "\\") {
        guard let scalar = escape() else { return nil }
        scalar.append(to: &bytes)
      } else {
        bytes.append(text[index])
        index += 1
      }
    }
    guard index < text.count else { return nil }
    index += 1
    return String(validating: bytes, as: UTF8.self)
  }

  private mutating func escape() -> Unicode.Scalar? {
    guard index + 1 < text.count else { return nil }
    index += 2
    switch text[index - 1] {
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "u"):
      guard let first = unit() else { return nil }
      guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) }
      guard index + 1 < text.count, text[index] == UInt8(ascii: "\\"),
        text[index + 1] == UInt8(ascii: "u")
      else { return nil }
      index += 2
      guard let second = unit(), second & 0xFC00 == 0xDC00 else { return nil }
      return Unicode.Scalar(0x10000 + (first & 0x3FF) << 10 + second & 0x3FF)
    case let byte where "\"\\/".utf8.contains(byte): return Unicode.Scalar(byte)
    default: return nil
    }
  }

  private mutating func unit() -> UInt32? {
    guard index + 4 <= text.count else { return nil }
    defer { index += 4 }
    return UInt32(String(decoding: text[index..<index + 4], as: UTF8.self), radix: 16)
  }
}
