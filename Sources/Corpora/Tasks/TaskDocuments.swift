import Configuration

/// How the sequences of a task are cut into documents, each a problem of its own.
struct TaskDocuments: Sendable {
  /// Tokens of the shortest and the longest document; a longest of 0 for one that fills the sequence.
  let shortest, longest: Int

  /// The documents of a sequence: lengths are drawn evenly, and the last may be cut short by the end.
  func cut(_ length: Int, _ draws: inout Draws) -> [Range<Int>] {
    guard longest > 0 else { return [0..<length] }
    var documents: [Range<Int>] = []
    var start = 0
    while start < length {
      let tokens = shortest + draws.integer(below: longest - shortest + 1)
      documents.append(start..<min(start + tokens, length))
      start += tokens
    }
    return documents
  }

  /// Writes a sequence document by document.
  ///
  /// - Parameter document: Writes one.
  func write(
    _ sequence: inout TaskSequence, _ draws: inout Draws,
    _ document: (Range<Int>, inout TaskSequence, inout Draws) -> Void
  ) {
    sequence.clear(with: 0)
    let documents = cut(sequence.length, &draws)
    if longest > 0 { sequence.documentStarts = documents.map(\.lowerBound) }
    for range in documents { document(range, &sequence, &draws) }
  }

  /// What is wrong with the keys of a section.
  func problems(of section: String) -> [KeyProblem] {
    guard longest > 0, shortest > longest else { return [] }
    return [
      KeyProblem(
        "\(section).longest", "\(section).shortest",
        message: "the longest document has \(longest) tokens and the shortest \(shortest); give a "
          + "longest of at least that, or 0 for one document a sequence")
    ]
  }
}
