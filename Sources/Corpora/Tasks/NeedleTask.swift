import Configuration

/// The run file's `data.needle` section: a pair hidden at a random depth.
///
/// Concretely: pairs of a key and its value, all keys different, stand at random places in filler: random tokens, or a part of
/// a text file, drawn at random. The last token is the key of one of them, and the only target is its value.
///
/// | tokens | are |
/// |---|---|
/// | `filler` | filler; bytes where it is text |
/// | `fillers + key` | keys, in pairs and as the query |
/// | `fillers + keys + value` | values, in pairs and as the target |
package struct NeedleTask: SequenceTask, Equatable {
  package static let name = "data.needle"
  package static let documentation =
    "A pair hidden at a random depth in filler or text, asked for at the end."
  package static let depth = TaskDepth.answer

  @Key("path", .data, "Text to hide pairs in, as bytes; null = random filler.")
  package var path: String?

  @Key("fillers", .data, from: 1, "Different tokens of random filler.")
  package var fillers = 64

  @Key("pairs", .data, from: 1, "Pairs that are hidden, one of which is asked for.")
  package var pairs = 1

  @Key("keys", .data, from: 1, "Different keys.")
  package var keys = 16

  @Key("values", .data, from: 2, "Different values; chance is one in so many.")
  package var values = 16

  package init() {}

  package var vocabulary: Int { fillerTokens + keys + values }
  package var chance: Double { 1 / Double(values) }
  private var fillerTokens: Int { path == nil ? fillers : 256 }

  package var problems: [KeyProblem] {
    guard pairs > keys else { return [] }
    return [
      KeyProblem(
        "data.needle.pairs", "data.needle.keys",
        message: "\(pairs) pairs need as many different keys, but there are \(keys); give more keys"
      )
    ]
  }

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let (pairs, keys, values, fillers) = (pairs, keys, values, fillerTokens)
    let content = length - 1
    guard content >= 2 * pairs else {
      throw Self.noRoom(
        length: length, least: 2 * pairs + 1,
        "\(pairs) pairs and the query; lower data.needle.pairs")
    }
    let text: TokenFile? =
      if let path { try TokenFile(path: path, tokenBytes: 1) } else { nil }
    if let text, text.count < content {
      throw .textTooShort(
        key: "data.needle.path", path: text.path, tokens: text.count, least: content)
    }
    return { sequence, draws throws(CorpusError) in
      sequence.clear(with: 0)
      if let text {
        let start = draws.integer(below: text.count - content + 1)
        try sequence.inputs.withUnsafeMutableBufferPointer { inputs throws(CorpusError) in
          try text.read(start..<start + content, into: inputs.baseAddress!)
        }
      } else {
        for position in 0..<content {
          sequence.inputs[position] = Int32(draws.integer(below: fillers))
        }
      }
      var used = draws.distinct(pairs, below: keys)
      draws.shuffle(&used)
      let asked = draws.integer(below: pairs)
      // Places as if pairs took one token each; every pair moves those after it by one more.
      for (index, place) in draws.distinct(pairs, below: content - pairs).enumerated() {
        let position = place + index
        let value = fillers + keys + draws.integer(below: values)
        sequence.inputs[position] = Int32(fillers + used[index])
        sequence.inputs[position + 1] = Int32(value)
        if index == asked {
          sequence.inputs[content] = Int32(fillers + used[index])
          sequence.ask(at: content, answer: value, origin: position)
        }
      }
    }
  }
}
