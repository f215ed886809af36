/// Models of `tokenizer.json`.
extension PipelineReader {
  /// The model, and its pieces as they are written.
  ///
  /// - Parameter spellsBytes: Whether words come as bytes, where the model is byte-pair encoding.
  func readModel(
    _ json: TokenizerJSON, spellsBytes: Bool
  ) throws(TokenizerError) -> (any WordModel, vocabulary: [(bytes: [UInt8], token: Int32)]) {
    // Files of early versions have no type.
    let type =
      json["type"]?.string
      ?? (json["merges"] != nil ? "BPE" : json["unk_id"] != nil ? "Unigram" : "without a type")
    switch type {
    case "BPE": return try readBytePairs(json, spellsBytes: spellsBytes)
    case "Unigram": return try readUnigram(json)
    default: throw unsupported("model", type, known: ["BPE", "Unigram"])
    }
  }

  private func readBytePairs(
    _ json: TokenizerJSON, spellsBytes: Bool
  ) throws(TokenizerError) -> (any WordModel, vocabulary: [(bytes: [UInt8], token: Int32)]) {
    guard (json["dropout"]?.number ?? 0) == 0 else {
      throw unsupported("model", "BPE with dropout", known: ["BPE without"])
    }
    var vocabulary: [(bytes: [UInt8], token: Int32)] = []
    for (piece, number) in json["vocab"]?.fields ?? [] {
      guard let token = token(number) else {
        throw damaged("the number of the piece \(piece) is no token")
      }
      vocabulary.append((Array(piece.utf8), token))
    }
    guard !vocabulary.isEmpty else { throw damaged("its vocabulary is empty") }
    let pieces = PieceTable(vocabulary)
    let prefix = Array((json["continuing_subword_prefix"]?.string ?? "").utf8)
    let unknown = BytePairEncoding.Unknown(
      token: try readUnknown(json, pieces), fused: flag("fuse_unk", of: json, default: false),
      bytes: flag("byte_fallback", of: json, default: false) ? byteTokens(of: pieces) : [])
    var model = BytePairEncoding(
      pieces: pieces, merges: try readMerges(json, pieces, prefix: prefix), unknown: unknown)
    model.continuingPrefix = prefix
    model.endSuffix = Array((json["end_of_word_suffix"]?.string ?? "").utf8)
    model.ignoresMerges = flag("ignore_merges", of: json, default: false)
    model.spellsBytes = spellsBytes
    return (model, vocabulary)
  }

  private func readUnknown(
    _ json: TokenizerJSON, _ pieces: PieceTable
  ) throws(TokenizerError) -> Int32? {
    guard let name = json["unk_token"]?.string else { return nil }
    guard let token = pieces.token(of: Array(name.utf8)) else {
      throw damaged("its unk_token \(name) is not in the vocabulary")
    }
    return token
  }

  /// The tokens of all bytes; none where one is missing.
  private func byteTokens(of pieces: PieceTable) -> [Int32] {
    let tokens = (0...255).compactMap { pieces.token(of: TokenDecoder.name(of: $0)) }
    return tokens.count == 256 ? tokens : []
  }

  private func readMerges(
    _ json: TokenizerJSON, _ pieces: PieceTable, prefix: [UInt8]
  ) throws(TokenizerError) -> [BytePairEncoding.Merge] {
    var merges: [BytePairEncoding.Merge] = []
    for (rank, merge) in (json["merges"]?.array ?? []).enumerated() {
      let pair: [[UInt8]] =
        if let line = merge.string {
          line.utf8.split(separator: 0x20, omittingEmptySubsequences: false).map { Array($0) }
        } else {
          (merge.array ?? []).map { Array(($0.string ?? "").utf8) }
        }
      guard pair.count == 2 else { throw damaged("merge \(rank) is no pair") }
      let whole = pair[0] + pair[1].dropFirst(pair[1].starts(with: prefix) ? prefix.count : 0)
      guard let left = pieces.token(of: pair[0]), let right = pieces.token(of: pair[1]),
        let merged = pieces.token(of: whole)
      else {
        let text = pair.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        throw damaged(
          "merge \(rank), \(text), has a part or a result that is not in the vocabulary")
      }
      merges.append(
        BytePairEncoding.Merge(left: left, right: right, merged: merged, rank: UInt32(rank)))
    }
    return merges
  }

  private func readUnigram(
    _ json: TokenizerJSON
  ) throws(TokenizerError) -> (any WordModel, vocabulary: [(bytes: [UInt8], token: Int32)]) {
    var vocabulary: [(bytes: [UInt8], token: Int32)] = []
    var scores: [Double] = []
    for entry in json["vocab"]?.array ?? [] {
      guard let pair = entry.array, pair.count == 2, let piece = pair[0].string,
        let score = pair[1].number
      else { throw damaged("entry \(scores.count) of its vocabulary is no piece with a score") }
      vocabulary.append((Array(piece.utf8), Int32(scores.count)))
      scores.append(score)
    }
    guard let least = scores.min() else { throw damaged("its vocabulary is empty") }
    let unknown = json["unk_id"]?.integer.map { Int32(clamping: $0) }
    guard unknown.map({ scores.indices.contains(Int($0)) }) ?? true else {
      throw damaged("its unk_id is beyond the vocabulary")
    }
    let pieces = PieceTable(vocabulary)
    let model = Unigram(
      pieces: pieces, found: vocabulary.lazy.filter { !$0.bytes.isEmpty }.map(\.token),
      scores: scores, leastScore: least, unknown: unknown,
      byteTokens: flag("byte_fallback", of: json, default: false) ? byteTokens(of: pieces) : [],
      arithmetic: .tokenizers)
    return (model, vocabulary)
  }
}
