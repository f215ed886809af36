/// A tokenizer of Hugging Face's `tokenizers`: added tokens, normalizers, pre-tokenizers, a model, a template, decoders.
struct PipelineTokenizer: Tokenizer {
  let vocabulary: Int
  var opening: [Int32] = []
  var closing: [Int32] = []
  var leadingSpaces: LeadingSpaces { decoder.leadingSpaces }

  /// Tokens that are found in the text as it is.
  var added = AddedTokens()
  /// Tokens that are found in the normalized text.
  var normalizedAdded = AddedTokens()
  /// What changes the text between added tokens.
  var normalizer: (any Normalizer)?
  /// What cuts it, one after the other.
  var preTokenizers: [any PreTokenizer] = []
  /// What makes tokens of words.
  let model: any WordModel
  /// What makes text of tokens.
  let decoder: TokenDecoder

  private let pool = EncodingScratchPool()

  init(vocabulary: Int, model: any WordModel, decoder: TokenDecoder) {
    (self.vocabulary, self.model, self.decoder) = (vocabulary, model, decoder)
  }

  func encode(_ text: UnsafeBufferPointer<UInt8>) -> [Int32] {
    var repaired = String(decoding: text, as: UTF8.self)
    return pool.encode { scratch in
      repaired.withUTF8 { text in
        added.split(
          text, text: { encode(text.part($0), startsText: $0.lowerBound == 0, scratch) },
          token: { scratch.tokens.append($0) })
      }
    }
  }

  func bytes(of token: Int32) -> [UInt8] { decoder.bytes(of: token) }

  func isByte(_ token: Int32) -> Bool { decoder.isByte(token) }

  func token(of name: String) -> Int32? { decoder.tokens.token(of: Array(name.utf8)) }

  /// Encodes the text between added tokens.
  private func encode(
    _ text: UnsafeBufferPointer<UInt8>, startsText: Bool, _ scratch: EncodingScratch
  ) {
    func encodeNormalized(_ text: UnsafeBufferPointer<UInt8>) {
      normalizedAdded.split(
        text,
        text: { range in
          let starts = startsText && range.lowerBound == 0
          cut(Piece(bytes: text.part(range), startsText: starts), from: 0, scratch)
        }, token: { scratch.tokens.append($0) })
    }
    guard let normalizer else { return encodeNormalized(text) }
    var normalized = Array(text)
    normalizer.normalize(&normalized, scratch)
    normalized.withUnsafeBufferPointer { encodeNormalized($0) }
  }

  private func cut(_ piece: Piece, from stage: Int, _ scratch: EncodingScratch) {
    guard stage < preTokenizers.count else { return model.encode(piece.bytes, scratch) }
    preTokenizers[stage].split(piece, scratch) { cut($0, from: stage + 1, scratch) }
  }
}
