/// What changes a text before it is cut into words.
protocol Normalizer: Sendable {
  /// Changes valid UTF-8 into valid UTF-8.
  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch)
}

/// Several normalizers, one after the other.
struct NormalizerSequence: Normalizer {
  /// In their order.
  let parts: [any Normalizer]

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    for part in parts { part.normalize(&text, scratch) }
  }
}

extension Normalizer {
  /// A part that may leave out what a text begins with, which Python's library remembers when it asks what the first word is;
  /// nil for none.
  var movesStart: String? {
    switch self {
    case let sequence as NormalizerSequence:
      return sequence.parts.lazy.compactMap(\.movesStart).first
    case let strip as Strip: return strip.left ? "Strip" : nil
    case let replace as Replace:
      if case .literal(let text) = replace.pattern, utf8Length(text[0]) == text.count { return nil }
      return "Replace of more than one character"
    default: return nil
    }
  }
}
