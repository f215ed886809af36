/// Parts of token files read from start to end, in windows that touch and never overlap.
///
/// Each token but the first of a part is predicted once. Window `step · batch + row` stands at `row`
/// of `step`: with a batch of 1 the steps read each part as one stream. Where a part or the last step
/// has no more tokens, targets are −1 and inputs 0. A window begins a document only where the file does,
/// so that state may be carried from window to window.
package struct SequentialWindows: Corpus {
  /// Number of different tokens.
  package let vocabulary: Int
  /// Tokens of a sequence.
  package let length: Int
  /// Sequences of a step.
  package let batch: Int
  /// Steps until every window has been read.
  package var steps: Int? { (windows + batch - 1) / batch }
  /// Whether the tokens are bytes of text.
  package var tokensAreBytes: Bool { parts.allSatisfy(\.file.predictsBytes) }

  /// Number of windows of all parts.
  package let windows: Int
  private let parts: [(file: TokenFile, range: Range<Int>)]
  private let firstWindows: [Int]

  /// Reads parts of files.
  ///
  /// - Parameters:
  ///   - parts: Files, and which of each one's tokens.
  ///   - length: Tokens of a window.
  ///   - batch: Windows of a step.
  ///   - vocabulary: Number of different tokens.
  package init(
    _ parts: [(file: TokenFile, range: Range<Int>)], length: Int, batch: Int, vocabulary: Int
  ) {
    precondition(length > 0 && batch > 0, "\(batch) windows of \(length) tokens")
    self.parts = parts
    self.length = length
    self.batch = batch
    self.vocabulary = vocabulary
    var firstWindows: [Int] = []
    var windows = 0
    for part in parts {
      firstWindows.append(windows)
      // A part of n tokens has n − 1 to predict, or n labels.
      let targets = part.file.labels == nil ? max(0, part.range.count - 1) : part.range.count
      windows += (targets + length - 1) / length
    }
    self.firstWindows = firstWindows
    self.windows = windows
  }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) throws(CorpusError) {
    batch.check(self)
    let positions = batch.positions
    try batch.fillRows { row, inputs, targets throws(CorpusError) in
      guard let (part, start) = source(window: step * self.batch + row) else {
        inputs.update(repeating: 0)
        targets.update(repeating: -1)
        return []
      }
      try part.file.readWindow(
        at: start, positions: positions, end: part.range.upperBound, vocabulary: vocabulary,
        inputs: inputs, targets: targets)
      let window = start..<min(start + length, part.range.upperBound)
      return try part.file.documentStarts(in: window).map { $0 - start }
    }
  }

  /// Bytes of text that each target stands for: of a token of a tokenizer, what it adds to its document.
  package func targetBytes(_ batch: TokenBatch, step: Int) throws(CorpusError) -> [Int32]? {
    guard parts.allSatisfy(\.file.knowsBytes) else { return nil }
    var bytes: [Int32] = []
    bytes.reserveCapacity(batch.targets.count)
    for (place, row) in batch.rows.enumerated() {
      let targets = batch.targets[
        place * batch.positions.count..<(place + 1) * batch.positions.count]
      guard let (part, start) = source(window: step * self.batch + row) else {
        bytes += targets.map { _ in 0 }
        continue
      }
      bytes += try part.file.bytes(
        ofTargets: Array(targets), from: start + batch.positions.lowerBound + 1)
    }
    return bytes
  }

  /// The part that a window lies in and its first token; nil after the last window.
  private func source(window: Int) -> (part: (file: TokenFile, range: Range<Int>), start: Int)? {
    guard window < windows, let index = firstWindows.lastIndex(where: { $0 <= window }) else {
      return nil
    }
    let part = parts[index]
    return (part, part.range.lowerBound + (window - firstWindows[index]) * length)
  }
}
