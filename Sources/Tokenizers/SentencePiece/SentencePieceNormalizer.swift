/// How SentencePiece prepares a text: characters are mapped, spaces written as marks.
struct SentencePieceNormalizer: Sendable {
  /// Characters and what takes their place; nil for all as they are.
  let map: CharacterMap?
  /// Pieces that stay as they are.
  let userDefined: PieceTrie
  /// Whether a text gets a space before it, or after it where `spaceIsSuffix`.
  let addsPrefix: Bool
  /// Whether the added space stands at the end.
  let spaceIsSuffix: Bool
  /// Whether spaces at the ends go, and of several in a row all but one.
  let removesExtraSpaces: Bool
  /// Whether a space is written as a mark.
  let escapesSpaces: Bool

  /// The mark of a space.
  static let mark = Array("▁".utf8)

  /// The text as the model reads it.
  func normalized(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var index = 0
    if removesExtraSpaces {
      while index < text.count {
        let (length, isSpace) = next(text, index) { $0.count == 1 && $0.first == 0x20 }
        guard isSpace else { break }
        index += length
      }
    }
    guard index < text.count else { return [] }
    let space = escapesSpaces ? Self.mark : [0x20]
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 2)
    if addsPrefix, !spaceIsSuffix { result += space }
    var followsSpace = removesExtraSpaces
    while index < text.count {
      index +=
        next(text, index) { content in
          var content = content
          if followsSpace { content = content.drop { $0 == 0x20 } }
          guard let last = content.last else { return }
          for byte in content {
            if byte == 0x20 { result += space } else { result.append(byte) }
          }
          followsSpace = removesExtraSpaces && last == 0x20
        }.length
    }
    if removesExtraSpaces {
      while result.count >= space.count, result.suffix(space.count).elementsEqual(space) {
        result.removeLast(space.count)
      }
    }
    if addsPrefix, spaceIsSuffix { result += space }
    return result
  }

  /// What takes the place of the text's next part, given to a function, and how long that part is.
  @inline(__always)
  private func next<Result>(
    _ text: UnsafeBufferPointer<UInt8>, _ index: Int,
    _ body: (Slice<UnsafeBufferPointer<UInt8>>) -> Result
  ) -> (length: Int, Result) {
    let (start, count) = (text.baseAddress! + index, text.count - index)
    if !userDefined.isEmpty, let match = userDefined.longestPrefix(of: start, count) {
      return (match.length, body(text[index..<index + match.length]))
    }
    if let map, let (length, replacement) = map.longestPrefix(of: start, count) {
      return (length, replacement.withUnsafeBufferPointer { body($0[...]) })
    }
    let length = utf8Length(text[index])
    return (length, body(text[index..<index + length]))
  }
}
