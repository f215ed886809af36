/// Writes spaces as a mark, puts one before the text, and begins a word at each.
struct Metaspace: PreTokenizer {
  /// Where a mark is put before a piece that does not begin with one.
  enum Prepending: String, CaseIterable, Sendable {
    /// Everywhere.
    case always
    /// At the start of the text.
    case first
    /// Nowhere.
    case never
  }

  /// The mark's bytes.
  let mark: [UInt8]
  /// Where one is put.
  let prepending: Prepending
  /// Whether a word begins at each.
  let splits: Bool

  func split(_ piece: Piece, _ scratch: EncodingScratch, _ body: (Piece) -> Void) {
    var text: [UInt8] = []
    text.reserveCapacity(piece.bytes.count * 2 + mark.count)
    let begins = piece.bytes[0] == 0x20 || piece.bytes.starts(with: mark)
    let prepends = prepending == .always || prepending == .first && piece.startsText
    if prepends, !begins { text += mark }
    for byte in piece.bytes {
      if byte == 0x20 { text += mark } else { text.append(byte) }
    }
    text.withUnsafeBufferPointer { bytes in
      let marked = Piece(bytes: bytes, startsText: piece.startsText)
      guard splits else { return body(marked) }
      Split(pattern: .literal(mark), behavior: .mergedWithNext, inverts: false)
        .split(marked, scratch, body)
    }
  }
}
