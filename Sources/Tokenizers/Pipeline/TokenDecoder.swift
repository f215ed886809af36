/// What makes the bytes of a text of tokens.
struct TokenDecoder: Sendable {
  /// A change of how a token is written.
  enum Stage: Sendable {
    /// Characters of `ByteAlphabet` become bytes.
    case byteLevel
    /// `<0xAB>` becomes a byte.
    case byteFallback
    /// A mark becomes a space.
    case replace(Pattern, [UInt8])
    /// Some bytes at the start and the end are left out.
    case strip(UInt8, start: Int, stop: Int)
  }

  /// How all tokens are written, added ones included.
  let tokens: PieceTable
  /// Tokens that are no text.
  var special: Set<Int32> = []
  /// Changes, one after the other.
  var stages: [Stage] = []
  /// What of the first spaces is left out.
  var leadingSpaces = LeadingSpaces.kept
  /// Whether a space stands before each token.
  var separates = false

  /// The bytes that a token stands for.
  func bytes(of token: Int32) -> [UInt8] {
    guard !special.contains(token) else { return [] }
    var bytes = Array(tokens.piece(of: token))
    guard !bytes.isEmpty else { return [] }
    for stage in stages { apply(stage, to: &bytes) }
    return separates ? [0x20] + bytes : bytes
  }

  /// Where among the changes names of bytes become bytes; nil for nowhere.
  private var byteFallback: Int? {
    stages.firstIndex { if case .byteFallback = $0 { true } else { false } }
  }

  /// Whether texts in tokens take the place of others.
  var replaces: Bool { stages.contains { if case .replace = $0 { true } else { false } } }

  /// Whether names of bytes become bytes.
  var hasByteFallback: Bool { byteFallback != nil }

  /// Whether a token becomes one byte of a character.
  func isByte(_ token: Int32) -> Bool {
    guard let place = byteFallback, !special.contains(token) else { return false }
    var bytes = Array(tokens.piece(of: token))
    for stage in stages[..<place] { apply(stage, to: &bytes) }
    return Self.byte(bytes) != nil
  }

  private func apply(_ stage: Stage, to bytes: inout [UInt8]) {
    switch stage {
    case .byteLevel:
      bytes = ByteAlphabet.bytes(spelledBy: String(decoding: bytes, as: UTF8.self)) ?? bytes
    case .byteFallback:
      if let byte = Self.byte(bytes) { bytes = [byte] }
    case .replace(let pattern, let content):
      let scratch = EncodingScratch()
      Replace(pattern: pattern, content: content).normalize(&bytes, scratch)
    case .strip(let byte, let start, let stop):
      bytes.removeFirst(bytes.prefix(start).prefix { $0 == byte }.count)
      bytes.removeLast(bytes.suffix(stop).reversed().prefix { $0 == byte }.count)
    }
  }

  /// The byte that is written `<0xAB>`; nil for another text.
  static func byte(_ text: some Collection<UInt8>) -> UInt8? {
    let text = String(decoding: text, as: UTF8.self)
    guard text.utf8.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">") else { return nil }
    return UInt8(text.dropFirst(3).dropLast(), radix: 16)
  }

  /// How a byte is written.
  static func name(of byte: UInt8) -> [UInt8] {
    let digits = String(byte, radix: 16, uppercase: true)
    return Array("<0x\(digits.count == 1 ? "0" : "")\(digits)>".utf8)
  }
}
