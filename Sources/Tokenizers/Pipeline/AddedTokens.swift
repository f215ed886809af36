/// Tokens that are found in a text before it is cut into words.
struct AddedTokens: Sendable {
  /// One of them.
  struct Token: Sendable {
    /// Its number.
    let number: Int32
    /// How it is written.
    let content: String
    /// Whether it must not be a part of a longer word.
    var isWord = false
    /// Whether it takes the white space before it.
    var stripsLeft = false
    /// Whether it takes the white space after it.
    var stripsRight = false
    /// Whether it is looked for in the normalized text.
    var isNormalized = false
    /// Whether it is no text: left out when tokens are decoded.
    var isSpecial = false
  }

  private var trie = PieceTrie()
  private var tokens: [Token] = []
  /// Whether some token begins with a byte.
  private var begins = [Bool](repeating: false, count: 256)

  init() {}

  /// Whether there are none.
  var isEmpty: Bool { tokens.isEmpty }

  /// Adds a token.
  ///
  /// - Parameter bytes: What is looked for; nothing is found for an empty text.
  mutating func insert(_ token: Token, as bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    begins[Int(first)] = true
    trie.insert(bytes, value: Int32(tokens.count))
    tokens.append(token)
  }

  /// Calls functions with the text between tokens, and with tokens, from left to right.
  ///
  /// Of tokens that begin in one place the longest is found.
  func split(
    _ text: UnsafeBufferPointer<UInt8>, text between: (Range<Int>) -> Void,
    token found: (Int32) -> Void
  ) {
    guard !isEmpty, let base = text.baseAddress else {
      if !text.isEmpty { between(text.indices) }
      return
    }
    var end = 0
    var index = 0
    while index < text.count {
      guard begins[Int(text[index])],
        let match = trie.longestPrefix(of: base + index, text.count - index)
      else {
        index += 1
        continue
      }
      let token = tokens[Int(match.value)]
      var range = index..<index + match.length
      index = range.upperBound
      if token.isWord, isInWord(range, of: text) { continue }
      let start =
        token.stripsLeft
        ? max(end, Self.spaceStart(text, before: range.lowerBound)) : range.lowerBound
      let stop =
        token.stripsRight ? Self.spaceEnd(text, after: range.upperBound) : range.upperBound
      // The token before may have taken all of it as white space.
      if start >= stop { continue }
      range = start..<stop
      if end < range.lowerBound { between(end..<range.lowerBound) }
      found(token.number)
      end = range.upperBound
    }
    if end < text.count { between(end..<text.count) }
  }

  private func isInWord(_ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>) -> Bool {
    range.lowerBound > 0 && text.scalar(at: text.start(before: range.lowerBound)).isWordCharacter
      || range.upperBound < text.count && text.scalar(at: range.upperBound).isWordCharacter
  }

  private static func spaceStart(_ text: UnsafeBufferPointer<UInt8>, before place: Int) -> Int {
    var start = place
    while start > 0 {
      let previous = text.start(before: start)
      guard text.scalar(at: previous).properties.isWhitespace else { break }
      start = previous
    }
    return start
  }

  private static func spaceEnd(_ text: UnsafeBufferPointer<UInt8>, after place: Int) -> Int {
    var end = place
    while end < text.count, text.scalar(at: end).properties.isWhitespace {
      end += utf8Length(text[end])
    }
    return end
  }
}

extension Unicode.Scalar {
  /// Whether words are made of it, as Unicode's regular expressions say, of Unicode 16 as in Hugging Face's library.
  var isWordCharacter: Bool {
    guard isASCII || isAssigned(in: 16) else { return false }
    return switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
    default: properties.isAlphabetic || value == 0x200C || value == 0x200D
    }
  }
}
