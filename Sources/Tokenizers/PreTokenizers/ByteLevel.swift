/// Cuts a text as GPT-2 does, and writes each byte as the character of `ByteAlphabet`.
struct ByteLevel: PreTokenizer {
  /// Whether a text that does not begin with a space gets one.
  let addsSpace: Bool
  /// What cuts it; nil for nothing.
  let words: Split?
  /// Whether the bytes are written as characters here; else the model does it, for words that it has not seen lately.
  let spells: Bool

  /// GPT-2's pattern.
  static let pattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    guard addsSpace, piece.bytes[0] != 0x20 else { return cut(piece, scratch, body) }
    var text: [UInt8] = [0x20]
    text += piece.bytes
    text.withUnsafeBufferPointer {
      cut(Piece(bytes: $0, startsText: piece.startsText), scratch, body)
    }
  }

  private func cut(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    guard let words else { return give(piece, body) }
    words.split(piece, scratch) { give($0, body) }
  }

  private func give(_ piece: Piece, _ body: (Piece) -> Void) {
    guard spells else { return body(piece) }
    var text: [UInt8] = []
    ByteAlphabet.spell(piece.bytes, into: &text)
    text.withUnsafeBufferPointer { body(Piece(bytes: $0, startsText: piece.startsText)) }
  }
}
