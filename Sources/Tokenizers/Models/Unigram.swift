/// The unigram language model: of all ways to cut a word into pieces the one of the highest score.
///
/// Source: Kudo (arXiv 1804.10959).
struct Unigram: WordModel {
  /// The best way to a place of the text.
  struct Path {
    /// Sum of the scores of its pieces.
    var score: Double = 0
    /// Where its last piece begins; −1 where there is no way.
    var start: Int32 = -1
    /// Its last piece; −1 for an unknown character.
    var token: Int32 = -1
  }

  /// Which of two libraries' rules hold where they differ.
  enum Arithmetic {
    /// Sums of 64 bits; unknown characters in a row are looked up together.
    case tokenizers
    /// Sums that are rounded to 32 bits; unknown characters in a row are one.
    case sentencePiece
  }

  /// Tokens of the 256 bytes, for unknown characters; none to use `unknown`.
  let byteTokens: [Int32]
  /// The token of unknown characters; nil to leave them out.
  let unknown: Int32?
  private let pieces: PieceTable
  private let trie: PieceTrie
  private let scores: [Double]
  private let unknownScore: Double
  private let arithmetic: Arithmetic

  /// How much less than the least score an unknown character has.
  private static let unknownPenalty = 10.0

  /// Makes the model.
  ///
  /// - Parameters:
  ///   - pieces: All tokens.
  ///   - found: Those that are found in texts.
  ///   - scores: The score of each token.
  ///   - leastScore: The lowest of those that count.
  init(
    pieces: PieceTable, found: some Sequence<Int32>, scores: [Double], leastScore: Double,
    unknown: Int32?, byteTokens: [Int32], arithmetic: Arithmetic
  ) {
    var trie = PieceTrie()
    for token in found { trie.insert(pieces.piece(of: token), value: token) }
    (self.pieces, self.trie, self.scores) = (pieces, trie, scores)
    (self.unknown, self.byteTokens, self.arithmetic) = (unknown, byteTokens, arithmetic)
    unknownScore =
      arithmetic == .sentencePiece
      ? Double(Float(leastScore) - Float(Self.unknownPenalty)) : leastScore - Self.unknownPenalty
  }

  /// Appends a word's tokens.
  func encode(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    guard !word.isEmpty else { return }
    encodeCached(word, scratch) { word in
      findBestPaths(word, &scratch.bestPaths)
      appendPieces(word, scratch)
    }
  }

  private func findBestPaths(_ word: UnsafeBufferPointer<UInt8>, _ paths: inout [Path]) {
    paths.removeAll(keepingCapacity: true)
    paths.append(contentsOf: repeatElement(Path(), count: word.count + 1))
    paths.withUnsafeMutableBufferPointer { paths in
      var start = 0
      while start < word.count {
        let length = utf8Length(word[start])
        let soFar = paths[start].score
        var isKnown = false
        trie.forEachPrefix(of: word.baseAddress! + start, word.count - start) { count, token in
          let score = sum(scores[Int(token)], soFar)
          if paths[start + count].start < 0 || score > paths[start + count].score {
            paths[start + count] = Path(score: score, start: Int32(start), token: token)
          }
          isKnown = isKnown || count == length
        }
        if !isKnown {
          let score = sum(unknownScore, soFar)
          if paths[start + length].start < 0 || score > paths[start + length].score {
            paths[start + length] = Path(score: score, start: Int32(start), token: -1)
          }
        }
        start += length
      }
    }
  }

  @inline(__always)
  private func sum(_ score: Double, _ other: Double) -> Double {
    arithmetic == .sentencePiece ? Double(Float(score) + Float(other)) : score + other
  }

  private func appendPieces(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    // The path is known from its end.
    scratch.merging.removeAll()
    var end = word.count
    while end > 0 {
      scratch.merging.append(Int32(end))
      end = Int(scratch.bestPaths[end].start)
    }
    var unknownStart: Int?
    for end in scratch.merging.symbols.reversed() {
      let path = scratch.bestPaths[Int(end)]
      if path.token < 0 || path.token == unknown {
        unknownStart = unknownStart ?? Int(path.start)
        continue
      }
      if let start = unknownStart {
        appendUnknown(word.part(start..<Int(path.start)), scratch)
        unknownStart = nil
      }
      scratch.tokens.append(path.token)
    }
    if let start = unknownStart { appendUnknown(word.part(start..<word.count), scratch) }
  }

  /// Appends what stands for unknown characters in a row.
  private func appendUnknown(_ text: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    if arithmetic == .tokenizers, let token = pieces.token(of: text.baseAddress!, text.count) {
      scratch.tokens.append(token)
    } else if !byteTokens.isEmpty {
      for byte in text { scratch.tokens.append(byteTokens[Int(byte)]) }
    } else if let unknown {
      scratch.tokens.append(unknown)
    }
  }
}
