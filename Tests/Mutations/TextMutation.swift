/// Damage to JSON and YAML, which leaves most of it readable.
enum TextMutation: CaseIterable {
  case number, string, value, nest, line, moveLine, structure

  private static let numbers = [
    "0", "-0", "-1", "-5", "1", "2", "3", "7", "64", "65536", "1048576", "2147483647", "2147483648",
    "4294967295", "4294967296",
    "1099511627776", "3037000500", "4611686018427387904", "9223372036854775807",
    "-9223372036854775808", "9223372036854775808", "18446744073709551616", "1e308", "-1e308",
    "1e999",
    "1e-320", "0.5", "-0.5", "NaN", "Infinity", "-Infinity", "1e3", "00", "0x10", "1_000",
    String(repeating: "9", count: 400),
  ]

  private static let names: [String] = [
    "", ".", "..", "/", "../..", "../outside.safetensors", "/etc/passwd", "a/b", #"a\u0000b"#,
    #"\ud800"#, "\u{202E}", "é", "e\u{301}", "streams.", "streams.x.a", "streams.-1.a",
    "streams.9223372036854775807.a", "streams.99999999999999999999.a", "weight.", "position",
    "__metadata__", "F32", "BOOL", "none", "null", "(?R)", "(((((a*)*)*)*)*)*", "%s%n",
    String(repeating: "x", count: 5000), String(repeating: "[", count: 3000),
  ]

  private static let values = [
    "null", "true", "false", "{}", "[]", "[[]]", #""""#, #""x""#, "-1", "1e308", "[0]", "[-1]",
    #"{"a":1}"#, "[null]", "&a [*a]", "*a", "~", "!!binary x", "!!python/object x",
  ]

  func apply(to bytes: inout [UInt8], _ draws: inout Draws) {
    switch self {
    case .number:
      replace(
        in: &bytes, Self.spans(of: bytes) { $0.isNumber }, draws.one(of: Self.numbers), &draws)
    case .string:
      replace(in: &bytes, Self.spans(of: bytes) { $0.isText }, draws.one(of: Self.names), &draws)
    case .value: replaceValue(in: &bytes, &draws)
    case .nest:
      let (open, close) = draws.one(of: [("[", "]"), (#"{"a":"#, "}"), ("- ", ""), ("{? ", "}")])
      let depth = draws.one(of: [3, 200, 300, 5000])
      let text =
        String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
      replaceValue(in: &bytes, &draws, with: text)
    case .line, .moveLine: moveLine(in: &bytes, &draws)
    case .structure:
      guard !bytes.isEmpty else { return }
      let mark = draws.one(of: Array("{}[]\",:\\\n -#&*!|>%@`'\t\u{0}".utf8))
      let place = draws.below(bytes.count)
      if draws.below(2) == 0 { bytes[place] = mark } else { bytes.insert(mark, at: place) }
    }
  }

  private func replace(
    in bytes: inout [UInt8], _ spans: [Range<Int>], _ text: String, _ draws: inout Draws
  ) {
    guard let span = spans.randomElement(using: &draws) else { return }
    bytes.replaceSubrange(span, with: text.utf8)
    if draws.below(30) == 0 { bytes.insert(0xFF, at: span.lowerBound) }
  }

  /// Puts another value behind a colon, up to what ends the old one.
  private func replaceValue(in bytes: inout [UInt8], _ draws: inout Draws, with text: String? = nil)
  {
    let colons = bytes.indices.filter { bytes[$0] == UInt8(ascii: ":") }
    guard let colon = colons.randomElement(using: &draws) else { return }
    let end =
      bytes[(colon + 1)...].firstIndex { ",}\n".utf8.contains($0) } ?? bytes.endIndex
    let value = text ?? draws.one(of: Self.values)
    bytes.replaceSubrange(colon + 1..<end, with: " \(value)".utf8)
  }

  /// Deletes, repeats or moves what stands between two line ends or commas.
  private func moveLine(in bytes: inout [UInt8], _ draws: inout Draws) {
    let mark = draws.one(of: Array("\n,".utf8))
    var lines = bytes.split(separator: mark, omittingEmptySubsequences: false).map { Array($0) }
    let (from, to) = (draws.below(lines.count), draws.below(lines.count))
    switch draws.below(3) {
    case 0: lines.remove(at: from)
    case 1: lines.insert(lines[from], at: to)
    default: lines.swapAt(from, to)
    }
    bytes = Array(lines.joined(separator: [mark]))
  }

  private static func spans(of bytes: [UInt8], _ isWanted: (Kind) -> Bool) -> [Range<Int>] {
    var spans: [Range<Int>] = []
    var index = 0
    while index < bytes.count {
      let start = index
      if bytes[index] == UInt8(ascii: "\"") {
        index += 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") { index += 1 }
        if isWanted(.text) { spans.append(start + 1..<min(index, bytes.count)) }
        index += 1
      } else if isDigit(bytes[index]) {
        while index < bytes.count, isDigit(bytes[index]) || "-+.eE".utf8.contains(bytes[index]) {
          index += 1
        }
        let sign = start > 0 && bytes[start - 1] == UInt8(ascii: "-") ? 1 : 0
        if isWanted(.number) { spans.append(start - sign..<index) }
      } else if isLetter(bytes[index]) {
        while index < bytes.count, isLetter(bytes[index]) || isDigit(bytes[index]) { index += 1 }
        if isWanted(.text) { spans.append(start..<index) }
      } else {
        index += 1
      }
    }
    return spans
  }

  private enum Kind {
    case number, text
    var isNumber: Bool { self == .number }
    var isText: Bool { self == .text }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private static func isLetter(_ byte: UInt8) -> Bool {
    (0x41...0x5A).contains(byte & 0xDF) || byte == UInt8(ascii: "_")
  }
}
