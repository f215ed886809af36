import Configuration

/// The run file's `data.parity` section: whether the ones so far are odd in number.
///
/// Concretely: every token is 0 or 1, and the target at each is the sum, modulo 2, of the document's tokens up to it.
///
/// - Source: Grazzi et al., "Unlocking state-tracking in linear RNNs through negative eigenvalues"
///   (arXiv 2411.12537), where the last token alone has a target.
package struct ParityTask: SequenceTask, Equatable {
  package static let name = "data.parity"
  package static let documentation =
    "Parity: whether the ones so far are odd in number, asked at every token."
  package static let depth = TaskDepth.question

  @Key(
    "shortest", .data, from: 1, unit: "tokens",
    "Tokens of the shortest document, where longest is given.")
  package var shortest = 3

  @Key(
    "longest", .data, unit: "tokens", "Tokens of the longest document; 0 = each sequence is one.")
  package var longest = 0

  package init() {}

  package var vocabulary: Int { 2 }
  package var chance: Double { 0.5 }
  package var problems: [KeyProblem] { documents.problems(of: Self.name) }
  private var documents: TaskDocuments { TaskDocuments(shortest: shortest, longest: longest) }

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let documents = documents
    return { sequence, draws in
      documents.write(&sequence, &draws) { document, sequence, draws in
        var parity = 0
        for position in document {
          let token = draws.integer(below: 2)
          parity ^= token
          sequence.inputs[position] = Int32(token)
          sequence.ask(at: position, answer: parity, origin: document.lowerBound)
        }
      }
    }
  }
}
