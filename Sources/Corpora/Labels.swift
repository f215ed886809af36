/// A companion file with the target at each token, instead of the token after it.
///
/// A label of which all bits are set (255, 65535 or 4294967295, as wide as a label is) means that nothing is to be predicted.
package struct Labels: Sendable {
  private let labels: StoredTokens

  /// Opens a companion file; its labels are checked when they are read.
  ///
  /// - Parameters:
  ///   - path: The companion file.
  ///   - tokenBytes: Bytes of a label; 0 for 2 if the name ends with `.bin`, else 1.
  ///   - tokens: The file of tokens that it belongs to.
  /// - Throws: `CorpusError` when it is missing, or has not a label for each token.
  package init(path: String, tokenBytes: Int, of tokens: TokenFile) throws(CorpusError) {
    labels = try StoredTokens(path: path, tokenBytes: tokenBytes)
    guard labels.count == tokens.count else {
      throw .labelCount(
        path: path, labels: labels.count, file: tokens.path, tokens: tokens.count)
    }
  }

  /// The label that means that there is no target.
  private var none: UInt32 { .max >> UInt32(32 - 8 * labels.tokenBytes) }

  /// Reads the targets at consecutive tokens; −1 where there is none.
  ///
  /// - Throws: `CorpusError` that names a label beyond the vocabulary.
  func read(
    _ range: Range<Int>, into targets: UnsafeMutablePointer<Int32>, vocabulary: Int
  ) throws(CorpusError) {
    try labels.read(range, into: targets)
    let none = Int32(bitPattern: none)
    for i in 0..<range.count where targets[i] == none { targets[i] = -1 }
    for i in 0..<range.count where targets[i] != -1 {
      try labels.check(
        targets + i, count: 1, from: range.lowerBound + i, vocabulary: vocabulary)
    }
  }

  /// One more than the largest label of a part.
  func vocabulary(in range: Range<Int>) throws(CorpusError) -> Int {
    Int(try labels.largestToken(in: range, upTo: none - 1)) + 1
  }
}
