/// Byte-pair encoding: a word's characters are merged pair by pair, the pair of lowest rank first.
///
/// Source: Sennrich et al. (arXiv 1508.07909).
struct BytePairEncoding: WordModel {
  /// A merge of two symbols.
  struct Merge {
    /// Symbols.
    let left, right: Int32
    /// The symbol that takes their place.
    let merged: Int32
    /// Merges of lower rank are made first.
    let rank: UInt32
  }

  /// What a character becomes that no piece has.
  struct Unknown {
    /// Its token; nil to leave it out.
    var token: Int32?
    /// Whether several in a row become one token.
    var fused = false
    /// Tokens of the 256 bytes, which stand for its bytes; none to use `token`.
    var bytes: [Int32] = []
  }

  /// Pieces by their characters.
  let pieces: PieceTable
  /// Symbols from here on are characters that pieces are made of, but that have no token themselves.
  let firstUntold: Int32
  /// What becomes of characters without a piece.
  let unknown: Unknown
  /// What is put before each character of a word but the first.
  var continuingPrefix: [UInt8] = []
  /// What is put after the last character of a word.
  var endSuffix: [UInt8] = []
  /// Whether a word that is a piece is its token, whatever merges would give.
  var ignoresMerges = false
  /// Whether words come as bytes that `ByteAlphabet` spells.
  var spellsBytes = false
  /// Tokens that are taken apart again into what they were merged from.
  var unused: Set<Int32> = []

  private let merges: PairTable
  /// Pairs of characters that some merge brings together.
  private let joined: PairTable
  /// Whether merges of bytes' tokens forbid to cut words.
  private let mergesBytes: Bool

  /// Words shorter than this are not cut: looking them up is faster.
  private static let leastCut = 32

  /// Makes the model.
  ///
  /// - Parameters:
  ///   - pieces: All symbols.
  ///   - merges: Merges of symbols; of several for a pair the last counts.
  ///   - unknown: What becomes of characters that are no piece.
  ///   - firstUntold: The first symbol that is no token; nil where all are.
  init(pieces: PieceTable, merges: [Merge], unknown: Unknown, firstUntold: Int32? = nil) {
    self.pieces = pieces
    self.unknown = unknown
    self.firstUntold = firstUntold ?? .max
    var table = PairTable(capacity: merges.count)
    var joined = PairTable()
    let bytes = Set(unknown.bytes)
    var mergesBytes = false
    for merge in merges {
      table.set(
        UInt32(merge.left), UInt32(merge.right), UInt64(merge.rank) << 32 | UInt64(merge.merged))
      mergesBytes = mergesBytes || bytes.contains(merge.left) || bytes.contains(merge.right)
      pieces.piece(of: merge.left).withUnsafeBufferPointer { left in
        pieces.piece(of: merge.right).withUnsafeBufferPointer { right in
          guard !left.isEmpty, !right.isEmpty else { return }
          joined.set(
            left.scalar(at: left.start(before: left.count)).value, right.scalar(at: 0).value, 1)
        }
      }
    }
    self.merges = table
    self.joined = joined
    self.mergesBytes = mergesBytes
  }

  /// Appends a word's tokens.
  ///
  /// A long word is cut before each known character that no merge brings together with the one before: nothing
  /// is ever merged across such a place.
  func encode(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    guard !word.isEmpty else { return }
    guard unused.isEmpty else { return encodePart(word, scratch) }
    guard word.count >= Self.leastCut, mayCut else {
      return encodeCached(word, scratch) { encodePart($0, scratch) }
    }
    var start = 0
    var index = utf8Length(word[0])
    var previous = word.scalar(at: 0)
    while index < word.count {
      let length = utf8Length(word[index])
      let scalar = word.scalar(at: index)
      if joined.value(previous.value, scalar.value) == nil,
        let token = pieces.token(of: word.baseAddress! + index, length), token < firstUntold
      {
        encodeCached(word.part(start..<index), scratch) { encodePart($0, scratch) }
        start = index
      }
      previous = scalar
      index += length
    }
    encodeCached(word.part(start..<word.count), scratch) { encodePart($0, scratch) }
  }

  private var mayCut: Bool {
    // What is left out brings its neighbours together.
    (unknown.token != nil || !unknown.bytes.isEmpty)
      && !spellsBytes && !ignoresMerges && !mergesBytes
      && continuingPrefix.isEmpty && endSuffix.isEmpty
  }

  private func encodePart(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    guard spellsBytes else { return encodeSpelled(word, scratch) }
    var spelling = scratch.spelling
    scratch.spelling = []
    spelling.removeAll(keepingCapacity: true)
    ByteAlphabet.spell(word, into: &spelling)
    spelling.withUnsafeBufferPointer { encodeSpelled($0, scratch) }
    scratch.spelling = spelling
  }

  private func encodeSpelled(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    if ignoresMerges, let token = pieces.token(of: word.baseAddress!, word.count) {
      return scratch.tokens.append(token)
    }
    appendSymbols(of: word, scratch)
    guard unused.isEmpty else { return takeApart(scratch) }
    scratch.merging.merge(by: merges)
    let first = scratch.tokens.count
    for symbol in scratch.merging.symbols { emit(symbol, after: first, scratch) }
  }

  /// The symbols of a word's characters.
  private func appendSymbols(of word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch) {
    scratch.merging.removeAll()
    var unknowns = 0
    var index = 0
    while index < word.count {
      let length = utf8Length(word[index])
      let symbol = symbol(at: index, length, of: word)
      if let symbol {
        for _ in 0..<unknowns { scratch.merging.append(unknown.token!) }
        unknowns = 0
        scratch.merging.append(symbol)
      } else if !unknown.bytes.isEmpty {
        // What is put before and behind characters is spelled, too.
        for byte in marked(index, length, of: word) {
          scratch.merging.append(unknown.bytes[Int(byte)])
        }
      } else if unknown.token != nil {
        unknowns = unknown.fused ? 1 : unknowns + 1
      }
      index += length
    }
    for _ in 0..<unknowns { scratch.merging.append(unknown.token!) }
  }

  @inline(__always)
  private func symbol(
    at index: Int, _ length: Int, of word: UnsafeBufferPointer<UInt8>
  ) -> Int32? {
    guard !continuingPrefix.isEmpty || !endSuffix.isEmpty else {
      return pieces.token(of: word.baseAddress! + index, length)
    }
    return pieces.token(of: marked(index, length, of: word))
  }

  /// A character of a word, with the marks of its place.
  private func marked(
    _ index: Int, _ length: Int, of word: UnsafeBufferPointer<UInt8>
  ) -> [UInt8] {
    let isLast = index + length == word.count
    return (index == 0 ? [] : continuingPrefix) + Array(word[index..<index + length])
      + (isLast ? endSuffix : [])
  }

  /// Appends a symbol's token, or what stands for an unknown character.
  ///
  /// - Parameter first: How many tokens there were before the word.
  @inline(__always)
  private func emit(_ symbol: Int32, after first: Int, _ scratch: EncodingScratch) {
    guard symbol >= firstUntold else {
      // Where symbols may turn out to be unknown, those in a row are found only here.
      if firstUntold != .max, unknown.fused, symbol == unknown.token,
        scratch.tokens.count > first, scratch.tokens.last == symbol
      {
        return
      }
      return scratch.tokens.append(symbol)
    }
    if !unknown.bytes.isEmpty {
      for byte in pieces.piece(of: symbol) { scratch.tokens.append(unknown.bytes[Int(byte)]) }
    } else if let token = unknown.token {
      emit(token, after: first, scratch)
    }
  }

  /// Merges, then takes unused tokens apart into the pair that was last found to make them.
  private func takeApart(_ scratch: EncodingScratch) {
    var parts: [Int32: (Int32, Int32)] = [:]
    scratch.merging.merge(by: merges) { left, right, merged in
      if unused.contains(merged) { parts[merged] = (left, right) }
    }
    let first = scratch.tokens.count
    func emitParts(_ symbol: Int32) {
      if unused.contains(symbol), let (left, right) = parts[symbol] {
        emitParts(left)
        emitParts(right)
      } else {
        emit(symbol, after: first, scratch)
      }
    }
    for symbol in scratch.merging.symbols { emitParts(symbol) }
  }
}
