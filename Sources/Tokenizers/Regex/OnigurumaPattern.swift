/// A pattern as Oniguruma reads it, for PCRE2.
///
/// They differ in what is white space and a word's character, in newer characters of categories, in the names of
/// scripts, in `{n,m}+` (repeated there, possessive here), in `\h` and `\u`, in `(?m)`, and in sets of sets, which
/// are refused.
struct OnigurumaPattern {
  /// The pattern for PCRE2.
  var translated: String {
    var text = "(*LF)"
    text.unicodeScalars.append(contentsOf: output)
    return text
  }

  private let source: String
  private let pattern: [Unicode.Scalar]
  private var index = 0
  private var output: [Unicode.Scalar] = []
  /// Where in the output the last item begins that a quantifier may follow.
  private var lastItem: Int?
  private var groups: [Int] = []

  /// Translates a pattern.
  init(_ pattern: String) throws(RegularExpressionError) {
    source = pattern
    self.pattern = Array(pattern.unicodeScalars)
    while index < self.pattern.count { try translateItem() }
  }

  /// What an escape stands for.
  private enum Escape {
    /// Members of a class, or all other characters.
    case members(String, negated: Bool)
    /// As PCRE2 reads it.
    case text(String)
  }

  private static let whiteSpace =
    "\\t-\\r\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"
    + "\\x{3000}"
  private static let notWhiteSpace =
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    + "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
    + "\\x{3001}-\\x{10ffff}"
  private static let categories: Set<String> = [
    "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C",
    "Cc", "Cf", "Co", "Cn", "Cs",
  ]

  private static func category(_ name: String) -> String {
    "\\p{\(name)}" + NewerCharacters.ranges(of: name)
  }

  /// What words are made of; of the numbers that are no digits Oniguruma counts those below U+0100.
  private static var word: String {
    ["L", "M", "Nd", "Nl", "Pc"].map(category).joined()
      + "\\p{Alphabetic}\\xb2\\xb3\\xb9\\xbc-\\xbe"
  }

  private func refused(_ reason: String) -> RegularExpressionError {
    RegularExpressionError(pattern: source, reason: reason)
  }

  private func next(_ ahead: Int = 0) -> Unicode.Scalar? {
    index + ahead < pattern.count ? pattern[index + ahead] : nil
  }

  private mutating func write(_ text: String) { output += text.unicodeScalars }

  private mutating func copy() {
    output.append(pattern[index])
    index += 1
  }

  private mutating func translateItem() throws(RegularExpressionError) {
    switch pattern[index] {
    case "\\":
      lastItem = output.count
      switch try readEscape() {
      case .members(let members, let negated): write((negated ? "[^" : "[") + members + "]")
      case .text(let text): write(text)
      }
    case "[":
      lastItem = output.count
      try translateClass()
    case "(":
      groups.append(output.count)
      lastItem = nil
      copy()
      translateOptions()
    case ")":
      copy()
      lastItem = groups.popLast()
    case "*", "+", "?":
      copy()
    case "{":
      translateRange()
    case "|":
      lastItem = nil
      copy()
    default:
      lastItem = output.count
      copy()
    }
  }

  /// Options of a group: `m`, that a dot is any character, is PCRE2's `s`.
  private mutating func translateOptions() {
    guard next() == "?", let first = next(1), "imx-".unicodeScalars.contains(first) else { return }
    copy()
    while let option = next(), "imx-".unicodeScalars.contains(option) {
      output.append(option == "m" ? "s" : option)
      index += 1
    }
  }

  /// `{n,m}`, and `{n,m}+`, which repeats the whole.
  private mutating func translateRange() {
    guard let close = pattern[index...].firstIndex(of: "}"), close > index + 1,
      pattern[index + 1..<close].allSatisfy({ "0123456789,".unicodeScalars.contains($0) })
    else {
      lastItem = output.count
      write("\\{")
      index += 1
      return
    }
    // `{,m}` begins at 0 there, and is text here.
    write(pattern[index + 1] == "," ? "{0" : "{")
    output += pattern[index + 1...close]
    index = close + 1
    guard next() == "+", let start = lastItem else { return }
    output.insert(contentsOf: "(?:".unicodeScalars, at: start)
    write(")")
  }

  private mutating func translateClass() throws(RegularExpressionError) {
    copy()
    if next() == "^" { copy() }
    if next() == "]" {
      write("\\]")
      index += 1
    }
    while let scalar = next(), scalar != "]" {
      switch scalar {
      case "\\":
        switch try readEscape() {
        case .members(let members, negated: false): write(members)
        case .members(Self.whiteSpace, negated: true): write(Self.notWhiteSpace)
        case .members: throw refused("a class has all characters but some among others")
        case .text(let text): write(text)
        }
      case "[":
        guard next(1) == ":" else { throw refused("a class within a class") }
        write(try readNamedClass())
      case "&" where next(1) == "&":
        throw refused("classes that are intersected by &&")
      default:
        copy()
      }
    }
    guard next() != nil else { throw refused("a class does not end") }
    copy()
  }

  /// `[:name:]` within a class.
  private mutating func readNamedClass() throws(RegularExpressionError) -> String {
    let rest = pattern[(index + 2)...]
    guard let colon = rest.firstIndex(of: ":"), colon + 1 < pattern.count,
      pattern[colon + 1] == "]"
    else { throw refused("a class within a class") }
    var name = ""
    name.unicodeScalars.append(contentsOf: pattern[index + 2..<colon])
    index = colon + 2
    switch name {
    case "alpha": return "\\p{Alphabetic}" + Self.category("L")
    case "digit": return Self.category("Nd")
    case "alnum": return "\\p{Alphabetic}" + Self.category("L") + Self.category("Nd")
    case "lower": return "\\p{Lowercase}" + Self.category("Ll")
    case "upper": return "\\p{Uppercase}" + Self.category("Lu")
    case "punct": return Self.category("P") + Self.category("S")
    case "space": return Self.whiteSpace
    case "word": return Self.word
    case "xdigit": return "0-9a-fA-F"
    default: throw refused("the class [:\(name):]")
    }
  }

  private mutating func readEscape() throws(RegularExpressionError) -> Escape {
    guard let letter = next(1) else { throw refused("it ends with a backslash") }
    index += 2
    switch letter {
    case "s", "S": return .members(Self.whiteSpace, negated: letter == "S")
    case "w", "W": return .members(Self.word, negated: letter == "W")
    case "d", "D": return .members(Self.category("Nd"), negated: letter == "D")
    case "h", "H": return .members("0-9a-fA-F", negated: letter == "H")
    case "p", "P": return try readProperty(negated: letter == "P")
    case "u":
      let digits = pattern[index..<min(index + 4, pattern.count)]
      guard digits.count == 4, digits.allSatisfy({ $0.properties.isASCIIHexDigit }) else {
        throw refused("\\u without four digits")
      }
      index += 4
      return .text("\\x{" + String(String.UnicodeScalarView(digits)) + "}")
    default:
      return .text("\\" + String(Character(letter)))
    }
  }

  /// `\p{Name}`, `\p{^Name}`: a general category, a script or a property.
  private mutating func readProperty(negated: Bool) throws(RegularExpressionError) -> Escape {
    guard next() == "{", let close = pattern[index...].firstIndex(of: "}") else {
      throw refused("\\p without a name in braces")
    }
    var name = String(String.UnicodeScalarView(pattern[index + 1..<close]))
    index = close + 1
    var negated = negated
    if name.hasPrefix("^") {
      name.removeFirst()
      negated.toggle()
    }
    switch name.lowercased() {
    case "alpha", "alphabetic": return .members("\\p{Alphabetic}", negated: negated)
    case "space", "white_space": return .members(Self.whiteSpace, negated: negated)
    case "word": return .members(Self.word, negated: negated)
    case "letter": name = "L"
    case "number": name = "N"
    case "punctuation", "punct": name = "P"
    case "symbol": name = "S"
    case "mark": name = "M"
    default: break
    }
    if Self.categories.contains(name) {
      return .members(Self.category(name), negated: negated)
    }
    // PCRE2 reads a script's bare name as all characters that are used with it.
    return .members("\\p{sc:\(name)}", negated: negated)
  }
}
