/// A tokenizer of SentencePiece: its normalizer, and byte-pair encoding or the unigram model.
///
/// Source: Kudo and Richardson (arXiv 1808.06226).
struct SentencePieceTokenizer: Tokenizer {
  let vocabulary: Int
  var opening: [Int32] = []
  var closing: [Int32] = []
  let leadingSpaces: LeadingSpaces

  /// What is done with the text.
  let normalizer: SentencePieceNormalizer
  /// What makes tokens of it.
  let model: any WordModel
  /// Whether user-defined pieces are set apart before the model reads the text; else they have scores that win.
  let setsApart: Bool
  /// Pieces of all tokens, as they are written.
  let pieces: PieceTable
  /// Pieces that stand for no text, such as one for the beginning of a text.
  let control: AddedTokens
  /// What decoded tokens are, where that is not their piece with spaces for marks.
  let surfaces: [Int32: [UInt8]]

  private let pool = EncodingScratchPool()

  init(
    pieces: PieceTable, surfaces: [Int32: [UInt8]], normalizer: SentencePieceNormalizer,
    model: any WordModel, setsApart: Bool, unknown: Int32, control: AddedTokens
  ) {
    vocabulary = pieces.limit
    (self.pieces, self.surfaces, self.normalizer) = (pieces, surfaces, normalizer)
    (self.model, self.setsApart, self.control) = (model, setsApart, control)
    leadingSpaces =
      normalizer.removesExtraSpaces
      ? .removed(upTo: .max, notOf: unknown)
      : normalizer.addsPrefix ? .removed(upTo: 1, notOf: unknown) : .kept
  }

  func encode(_ text: UnsafeBufferPointer<UInt8>) -> [Int32] {
    var repaired = String(decoding: text, as: UTF8.self)
    let normalized = repaired.withUTF8 { normalizer.normalized($0) }
    return pool.encode { scratch in
      normalized.withUnsafeBufferPointer { encodeNormalized($0, scratch) }
    }
  }

  private func encodeNormalized(
    _ text: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch
  ) {
    guard setsApart, !normalizer.userDefined.isEmpty, let base = text.baseAddress else {
      return model.encode(text, scratch)
    }
    var start = 0
    var index = 0
    while index < text.count {
      if let (length, token) = normalizer.userDefined.longestPrefix(
        of: base + index, text.count - index)
      {
        model.encode(text.part(start..<index), scratch)
        scratch.tokens.append(token)
        index += length
        start = index
      } else {
        index += utf8Length(text[index])
      }
    }
    model.encode(text.part(start..<text.count), scratch)
  }

  /// The tokens of a text in which control pieces are found too, which SentencePiece does not find.
  func encodeMarked(_ text: String) -> [Int32] {
    var tokens: [Int32] = []
    var text = text
    text.withUTF8 { text in
      control.split(
        text, text: { tokens += encode(text.part($0)) }, token: { tokens.append($0) })
    }
    return tokens
  }

  func bytes(of token: Int32) -> [UInt8] {
    if let surface = surfaces[token] { return surface }
    var bytes = Array(pieces.piece(of: token))
    Replace(pattern: .literal(SentencePieceNormalizer.mark), content: [0x20])
      .normalize(&bytes, EncodingScratch())
    return bytes
  }

  func token(of name: String) -> Int32? { pieces.token(of: Array(name.utf8)) }
}
