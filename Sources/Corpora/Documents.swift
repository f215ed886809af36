/// Where documents begin in a file of tokens.
package enum Documents: Sendable {
  /// After each token of this number.
  case separator(Int32)
  /// At the tokens that a companion file lists.
  case offsets(DocumentOffsets)
}

extension TokenFile {
  /// Where documents begin among some tokens, ascending; empty where the file is one text.
  ///
  /// With a separator the first token of the file begins a document, and the tokens from the one
  /// before `range` on are read.
  ///
  /// - Throws: `CorpusError` when the disk fails, or when a file says something else than when it was opened.
  func documentStarts(in range: Range<Int>) throws(CorpusError) -> [Int] {
    switch documents {
    case .none: return []
    case .offsets(let offsets): return try offsets.offsets(in: range)
    case .separator(let separator):
      guard !range.isEmpty else { return [] }
      let first = max(1, range.lowerBound)
      var starts = range.lowerBound == 0 ? [0] : []
      guard first < range.upperBound else { return starts }
      var tokens = [Int32](repeating: 0, count: range.upperBound - first)
      try tokens.withUnsafeMutableBufferPointer { tokens throws(CorpusError) in
        try read(first - 1..<range.upperBound - 1, into: tokens.baseAddress!)
      }
      for i in tokens.indices where tokens[i] == separator { starts.append(first + i) }
      return starts
    }
  }
}
