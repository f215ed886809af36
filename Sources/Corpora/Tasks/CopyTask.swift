import Configuration

/// The run file's `data.copy` section: selective copying.
///
/// Concretely: some tokens stand at random places among filler. At the end stand as many markers, and the target
/// at the i-th is the i-th of these tokens.
///
/// | tokens | are |
/// |---|---|
/// | `value` | what is copied |
/// | `values` | filler |
/// | `values + 1` | markers |
///
/// - Source: Gu and Dao, "Mamba" (arXiv 2312.00752), section 3.1.
package struct CopyTask: SequenceTask, Equatable {
  package static let name = "data.copy"
  package static let documentation =
    "Selective copying: tokens among filler are repeated at the end."
  package static let depth = TaskDepth.answer

  @Key("tokens", .data, from: 1, unit: "tokens", "Tokens that are copied.")
  package var tokens = 16

  @Key("values", .data, from: 2, "Different tokens to copy; chance is one in so many.")
  package var values = 16

  package init() {}

  package var vocabulary: Int { values + 2 }
  package var chance: Double { 1 / Double(values) }

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let (tokens, values) = (tokens, values)
    guard length >= 2 * tokens else {
      throw Self.noRoom(
        length: length, least: 2 * tokens,
        "\(tokens) tokens and as many markers; lower data.copy.tokens")
    }
    return { sequence, draws in
      sequence.clear(with: values)
      let content = length - tokens
      for (index, place) in draws.distinct(tokens, below: content).enumerated() {
        let value = draws.integer(below: values)
        sequence.inputs[place] = Int32(value)
        sequence.inputs[content + index] = Int32(values + 1)
        sequence.ask(at: content + index, answer: value, origin: place)
      }
    }
  }
}
