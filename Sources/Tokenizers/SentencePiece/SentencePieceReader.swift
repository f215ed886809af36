import SwiftProtobuf

/// Reads SentencePiece's `.model` files.
struct SentencePieceReader {
  /// Where it lies.
  let path: String

  /// Reads the file.
  ///
  /// - Throws: `TokenizerError` when it is damaged, or a model of words or characters.
  func read() throws(TokenizerError) -> SentencePieceTokenizer {
    let content = try TokenizerFile.content(of: path)
    let model: SentencePieceModel
    do {
      model = try SentencePieceModel(serializedBytes: content)
    } catch {
      throw damaged("it is no SentencePiece model")
    }
    let pieces = model.pieces
    guard !pieces.isEmpty else { throw damaged("it has no pieces") }
    guard let unknown = pieces.firstIndex(where: { $0.kind == .unknown }).map({ Int32($0) }) else {
      throw damaged("it has no piece for unknown characters")
    }
    let numbered = pieces.enumerated().map {
      (bytes: Array($1.piece.utf8), token: Int32($0))
    }
    let table = PieceTable(numbered)
    let normalizer = try readNormalizer(model)
    let bytes = try readBytes(model)
    let found = numbered.filter {
      [.normal, .userDefined, .unused].contains(pieces[Int($0.token)].kind)
    }
    let (words, setsApart): (any WordModel, Bool) =
      switch model.training.algorithm {
      case .bpe: (bytePairs(model, found, unknown: unknown, bytes: bytes), true)
      case .unigram: (unigram(model, table, unknown: unknown, bytes: bytes), false)
      case .word, .char:
        throw .unsupported(
          path: path, part: "model", kind: "\(model.training.algorithm)", known: "bpe, unigram")
      }
    var control = AddedTokens()
    for (piece, token) in numbered where pieces[Int(token)].kind == .control {
      control.insert(
        AddedTokens.Token(number: token, content: pieces[Int(token)].piece), as: piece)
    }
    return SentencePieceTokenizer(
      pieces: table, surfaces: surfaces(model, unknown: unknown), normalizer: normalizer,
      model: words, setsApart: setsApart, unknown: unknown, control: control)
  }

  private func damaged(_ reason: String) -> TokenizerError { .damaged(path: path, reason: reason) }

  private func readNormalizer(
    _ model: SentencePieceModel
  ) throws(TokenizerError) -> SentencePieceNormalizer {
    var map: CharacterMap?
    if !model.normalizing.characterMap.isEmpty {
      map = CharacterMap(Array(model.normalizing.characterMap))
      guard map != nil else { throw damaged("its map of characters is damaged") }
    }
    var userDefined = PieceTrie()
    for (token, piece) in model.pieces.enumerated() where piece.kind == .userDefined {
      userDefined.insert(piece.piece.utf8, value: Int32(token))
    }
    return SentencePieceNormalizer(
      map: map, userDefined: userDefined, addsPrefix: model.normalizing.addsPrefix,
      spaceIsSuffix: model.training.whitespaceAsSuffix,
      removesExtraSpaces: model.normalizing.removesExtraSpaces,
      escapesSpaces: model.normalizing.escapesSpaces)
  }

  /// The tokens of all bytes; none where unknown characters are one token.
  private func readBytes(_ model: SentencePieceModel) throws(TokenizerError) -> [Int32] {
    guard model.training.byteFallback else { return [] }
    var tokens = [Int32](repeating: -1, count: 256)
    for (token, piece) in model.pieces.enumerated() where piece.kind == .byte {
      guard let byte = TokenDecoder.byte(piece.piece.utf8) else {
        throw damaged("\(piece.piece) is no byte")
      }
      tokens[Int(byte)] = Int32(token)
    }
    guard !tokens.contains(-1) else { throw damaged("it has not all 256 bytes") }
    return tokens
  }

  private func surfaces(_ model: SentencePieceModel, unknown: Int32) -> [Int32: [UInt8]] {
    var surfaces: [Int32: [UInt8]] = [:]
    for (token, piece) in model.pieces.enumerated() {
      switch piece.kind {
      case .control: surfaces[Int32(token)] = []
      case .byte: surfaces[Int32(token)] = TokenDecoder.byte(piece.piece.utf8).map { [$0] }
      case .unknown: surfaces[Int32(token)] = Array(model.training.unknownSurface.utf8)
      default: break
      }
    }
    return surfaces
  }

  private func unigram(
    _ model: SentencePieceModel, _ table: PieceTable, unknown: Int32, bytes: [Int32]
  ) -> Unigram {
    let least = model.pieces.filter { $0.kind == .normal }.map(\.score).min() ?? 0
    var found: [Int32] = []
    var scores: [Double] = []
    for (token, piece) in model.pieces.enumerated() {
      if [.normal, .userDefined].contains(piece.kind) { found.append(Int32(token)) }
      // Whatever score a user-defined piece has, it counts as certain.
      scores.append(piece.kind == .userDefined ? 0 : Double(piece.score))
    }
    return Unigram(
      pieces: table, found: found, scores: scores, leastScore: Double(least), unknown: unknown,
      byteTokens: bytes, arithmetic: .sentencePiece)
  }

  /// Byte-pair encoding by the scores of pieces: two symbols are merged where their text is a piece.
  private func bytePairs(
    _ model: SentencePieceModel, _ found: [(bytes: [UInt8], token: Int32)], unknown: Int32,
    bytes: [Int32]
  ) -> BytePairEncoding {
    // Characters of pieces that are no pieces themselves are symbols too, though no tokens.
    let firstUntold = Int32(model.pieces.count)
    var symbols = found
    var seen = Set(found.map(\.bytes))
    for (piece, _) in found where piece.count > 1 {
      for character in Self.characters(of: piece) {
        let text = Array(piece[character])
        guard seen.insert(text).inserted else { continue }
        symbols.append((text, firstUntold + Int32(symbols.count - found.count)))
      }
    }
    let characters = PieceTable(symbols)
    let scores = Set(found.map { model.pieces[Int($0.token)].score }).sorted(by: >)
    let ranks = Dictionary(
      uniqueKeysWithValues: scores.enumerated().map { ($1, UInt32($0)) })
    var merges: [BytePairEncoding.Merge] = []
    for (piece, token) in found {
      for character in Self.characters(of: piece).dropFirst() {
        guard let left = characters.token(of: Array(piece[..<character.lowerBound])),
          let right = characters.token(of: Array(piece[character.lowerBound...]))
        else { continue }
        merges.append(
          BytePairEncoding.Merge(
            left: left, right: right, merged: token,
            rank: ranks[model.pieces[Int(token)].score] ?? 0))
      }
    }
    var encoding = BytePairEncoding(
      pieces: characters, merges: merges,
      unknown: BytePairEncoding.Unknown(token: unknown, fused: true, bytes: bytes),
      firstUntold: firstUntold)
    encoding.unused = Set(
      found.map(\.token).filter { model.pieces[Int($0)].kind == .unused })
    return encoding
  }

  /// Where the characters of a piece lie.
  private static func characters(of piece: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    while start < piece.count {
      let end = min(piece.count, start + utf8Length(piece[start]))
      ranges.append(start..<end)
      start = end
    }
    return ranges
  }
}
