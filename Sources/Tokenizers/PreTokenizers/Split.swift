/// Cuts a text at what a pattern matches, or between.
struct Split: PreTokenizer {
  /// Where it is cut.
  let pattern: Pattern
  /// What becomes of those places.
  let behavior: SplitBehavior
  /// Whether it is cut at all but the matches.
  let inverts: Bool

  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    var collector = PartCollector(behavior)
    var end = 0
    func give(_ range: Range<Int>) { piece.part(range).map(body) }
    pattern.forEachMatch(in: piece.bytes, scratch.match) { match in
      if end < match.lowerBound {
        collector.take(end..<match.lowerBound, isCut: inverts, give)
      }
      collector.take(match, isCut: !inverts, give)
      end = match.upperBound
    }
    if end < piece.bytes.count {
      collector.take(end..<piece.bytes.count, isCut: inverts, give)
    }
    collector.finish(give)
  }
}

/// Cuts a text at characters.
struct CharacterSplit: PreTokenizer {
  /// Which characters.
  enum Kind: Sendable {
    /// White space.
    case whiteSpace
    /// Punctuation.
    case punctuation
    /// Numbers.
    case digits
  }

  /// At which.
  let kind: Kind
  /// What becomes of them.
  let behavior: SplitBehavior

  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    var collector = PartCollector(behavior)
    func give(_ range: Range<Int>) { piece.part(range).map(body) }
    var index = 0
    var between = 0
    while index < piece.bytes.count {
      let length = utf8Length(piece.bytes[index])
      if matches(piece.bytes.scalar(at: index)) {
        if between < index { collector.take(between..<index, isCut: false, give) }
        collector.take(index..<index + length, isCut: true, give)
        between = index + length
      }
      index += length
    }
    if between < index { collector.take(between..<index, isCut: false, give) }
    collector.finish(give)
  }

  private func matches(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch kind {
    case .whiteSpace: return properties.isWhitespace
    case .digits:
      return [.decimalNumber, .letterNumber, .otherNumber].contains(properties.generalCategory)
    case .punctuation:
      if scalar.isASCII {
        return [33...47, 58...64, 91...96, 123...126].contains { $0.contains(scalar.value) }
      }
      // Punctuation of Unicode 8, of which two characters have become a symbol and a mark since.
      return [0x166D, 0x111C9].contains(scalar.value)
        || properties.generalCategory.abbreviation.hasPrefix("P") && scalar.isAssigned(in: 8)
    }
  }
}
