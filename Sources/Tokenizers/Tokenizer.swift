/// Turns text into tokens and back; a value that several threads may use at once.
package protocol Tokenizer: Sendable {
  /// One more than the largest token.
  var vocabulary: Int { get }
  /// Tokens that stand before every text, such as one for its beginning.
  var opening: [Int32] { get }
  /// Tokens that stand after every text.
  var closing: [Int32] { get }
  /// What of a text's first spaces was put there by `encode`.
  var leadingSpaces: LeadingSpaces { get }

  /// The tokens of a text in UTF-8, without `opening` and `closing`; special tokens that it spells are found.
  ///
  /// Bytes that are no UTF-8 count as `�`, one for each longest part that might have begun a character.
  func encode(_ text: UnsafeBufferPointer<UInt8>) -> [Int32]
  /// The tokens of a text in which all special tokens are found, such as a dialogue as a model reads it.
  func encodeMarked(_ text: String) -> [Int32]
  /// The bytes of UTF-8 that a token stands for, none for a special one; they may end within a character.
  func bytes(of token: Int32) -> [UInt8]
  /// Whether it stands for a byte of a character that has no token: several in a row are whole characters, or each is `�`.
  func isByte(_ token: Int32) -> Bool
  /// The token that is written so, special ones included.
  func token(of name: String) -> Int32?
}

/// What of a decoded text's first spaces no one wrote.
package enum LeadingSpaces: Equatable, Sendable {
  /// Nothing.
  case kept
  /// So many at most, but none of one token's.
  case removed(upTo: Int, notOf: Int32? = nil)
  /// Those of the first token.
  case removedFromFirstToken
}

extension Tokenizer {
  /// No token does.
  package func isByte(_ token: Int32) -> Bool { false }

  /// As any text, where texts may spell special tokens.
  package func encodeMarked(_ text: String) -> [Int32] { encode(text) }

  /// The tokens of a text.
  package func encode(_ text: String) -> [Int32] {
    var text = text
    return text.withUTF8 { encode($0) }
  }

  /// The tokens of a text in UTF-8.
  package func encode(_ text: [UInt8]) -> [Int32] {
    text.withUnsafeBufferPointer { encode($0) }
  }

  /// The text of some tokens; bytes that are no UTF-8 become `�`.
  package func decode(_ tokens: some Sequence<Int32>) -> String {
    var decoder = TokenBytes(self)
    var text: [UInt8] = []
    // Where the bytes began that come from tokens of bytes in a row.
    var run: Int?
    func endRun() {
      guard let start = run else { return }
      run = nil
      if String(validating: text[start...], as: UTF8.self) != nil { return }
      text[start...] =
        Array(
          repeatElement([0xEF, 0xBF, 0xBD], count: text.count - start).joined())[...]
    }
    for token in tokens {
      let bytes = decoder.append(token)
      if bytes.isEmpty { continue }
      if isByte(token) { run = run ?? text.count } else { endRun() }
      text += bytes
    }
    endRun()
    return String(decoding: text, as: UTF8.self)
  }
}

/// Gives the bytes of a text, token by token.
package struct TokenBytes: Sendable {
  private let tokenizer: any Tokenizer
  private var spaces = 0
  private var exempt: Int32?
  private var isAtFirstToken: Bool

  /// Begins a text.
  package init(_ tokenizer: any Tokenizer) {
    self.tokenizer = tokenizer
    isAtFirstToken = tokenizer.leadingSpaces == .removedFromFirstToken
    if case .removed(let count, let token) = tokenizer.leadingSpaces {
      (spaces, exempt) = (count, token)
    }
  }

  /// The bytes that a token adds.
  package mutating func append(_ token: Int32) -> [UInt8] {
    let bytes = tokenizer.bytes(of: token)
    guard !bytes.isEmpty, spaces > 0 || isAtFirstToken else { return bytes }
    if isAtFirstToken {
      isAtFirstToken = false
      return bytes.filter { $0 != 0x20 }
    }
    if token == exempt { spaces = 0 }
    let removed = bytes.prefix(spaces).prefix { $0 == 0x20 }.count
    spaces = removed == bytes.count ? spaces - removed : 0
    return Array(bytes.dropFirst(removed))
  }
}
