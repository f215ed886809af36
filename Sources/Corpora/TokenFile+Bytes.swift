import Tokenizers

extension TokenFile {
  /// Whether it is known how many bytes of text each target stands for.
  package var knowsBytes: Bool { predictsBytes || tokenizer != nil && labels == nil }

  /// A document's first tokens, among which stand those whose spaces no one wrote.
  private static let opening = 16

  /// Bytes of text that consecutive tokens stand for: of a token what it adds to the text of its document.
  ///
  /// - Parameters:
  ///   - targets: The tokens; those below 0 are not predicted, and have none.
  ///   - first: The first one's place in the file.
  /// - Throws: `CorpusError` when the disk fails, or when the file has become shorter.
  func bytes(ofTargets targets: [Int32], from first: Int) throws(CorpusError) -> [Int32] {
    guard let tokenizer else { return targets.map { $0 >= 0 ? 1 : 0 } }
    var bytes = targets.map { $0 >= 0 ? Int32(tokenizer.bytes(of: $0).count) : 0 }
    // A document that begins a little before them may still be at its first spaces here.
    let (reached, end) = (max(0, first - Self.opening), min(first + targets.count, count))
    guard tokenizer.leadingSpaces != .kept, reached < end else { return bytes }
    let reach = reached..<end
    var starts = try documentStarts(in: reach)
    if reach.contains(0), starts.first != 0 { starts.insert(0, at: 0) }
    for (index, start) in starts.enumerated() {
      let next = index + 1 < starts.count ? starts[index + 1] : count
      let range = start..<min(start + Self.opening, next)
      var tokens = [Int32](repeating: 0, count: range.count)
      try tokens.withUnsafeMutableBufferPointer { tokens throws(CorpusError) in
        try read(range, into: tokens.baseAddress!)
      }
      var decoder = TokenBytes(tokenizer)
      for (token, place) in zip(tokens, range) {
        let added = decoder.append(token).count
        let index = place - first
        if bytes.indices.contains(index), targets[index] >= 0 { bytes[index] = Int32(added) }
      }
    }
    return bytes
  }
}
