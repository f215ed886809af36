/// Cuts a text into words and runs of other characters, and leaves out white space.
struct WordSplit: PreTokenizer {
  private enum Kind { case space, word, other }

  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    var start = 0
    var kind = Kind.space
    var index = 0
    func give(_ end: Int) {
      if kind != .space { piece.part(start..<end).map(body) }
    }
    while index < piece.bytes.count {
      let scalar = piece.bytes.scalar(at: index)
      let own: Kind =
        scalar.properties.isWhitespace ? .space : scalar.isWordCharacter ? .word : .other
      if own != kind {
        give(index)
        (start, kind) = (index, own)
      }
      index += utf8Length(piece.bytes[index])
    }
    give(index)
  }
}
