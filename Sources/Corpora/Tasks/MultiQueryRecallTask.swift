import Configuration
import Foundation

/// The run file's `data.mqar` section: multi-query associative recall.
///
/// Concretely: the sequence begins with the pairs, `k₁ v₁ k₂ v₂ …`, all keys different, each value drawn alone.
/// Then each key is asked for once: at the query the key stands, and the target is its value. The queries
/// stand at every second place or less, and the i-th such place is drawn with a weight of `i^(power − 1)`: with a
/// small power most questions follow soon. All else is filler. Where `fewest` is given, sequences have different numbers
/// of pairs, with which many are learnt sooner.
///
/// | tokens | are |
/// |---|---|
/// | `key` | keys, in pairs and as queries |
/// | `keys + value` | values, in pairs and as targets |
/// | `keys + values` | filler |
///
/// - Source: Arora et al., "Zoology" (arXiv 2312.04927), whose filler may be random tokens, too.
package struct MultiQueryRecallTask: SequenceTask, Equatable {
  package static let name = "data.mqar"
  package static let documentation =
    "Multi-query associative recall: pairs, then each key is asked for."
  package static let depth = TaskDepth.answer

  @Key("pairs", .data, from: 1, "Pairs of a key and a value at the start, each asked for once.")
  package var pairs = 8

  @Key(
    "fewest", .data,
    "Fewest pairs of a sequence, drawn evenly from these to pairs; 0 = always pairs.")
  package var fewest = 0

  @Key("keys", .data, from: 1, "Different keys, of which each sequence has some.")
  package var keys = 64

  @Key("values", .data, from: 2, "Different values; chance is one in so many.")
  package var values = 64

  @Key(
    "power", .data, above: 0, through: 1,
    "How far queries spread: 1 = evenly over the sequence, near 0 = soon after the pairs.")
  package var power = 0.01

  package init() {}

  package var vocabulary: Int { keys + values + 1 }
  package var chance: Double { 1 / Double(values) }

  package var problems: [KeyProblem] {
    if fewest > pairs {
      return [
        KeyProblem(
          "data.mqar.fewest", "data.mqar.pairs",
          message: "there cannot be \(fewest) pairs or more, and \(pairs) at most; give fewer")
      ]
    }
    guard pairs > keys else { return [] }
    return [
      KeyProblem(
        "data.mqar.pairs", "data.mqar.keys",
        message: "\(pairs) pairs need as many different keys, but there are \(keys); give more keys"
      )
    ]
  }

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let (most, fewest, keys, values) = (pairs, fewest > 0 ? fewest : pairs, keys, values)
    guard length >= 4 * pairs else {
      throw Self.noRoom(
        length: length, least: 4 * pairs,
        "\(pairs) pairs and their queries; lower data.mqar.pairs")
    }
    let weights = (0..<(length - 2 * fewest) / 2).map { pow(Double($0 + 1), power - 1) }
    return { sequence, draws in
      sequence.clear(with: keys + values)
      let pairs = fewest + draws.integer(below: most - fewest + 1)
      var used = draws.distinct(pairs, below: keys)
      draws.shuffle(&used)
      // The places of a weighted choice without repetition are those of the least exponential draws
      // (Efraimidis and Spirakis, 2006), in their order.
      let times = weights.prefix((length - 2 * pairs) / 2).map { -log(1 - draws.uniform()) / $0 }
      let places = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
      for (pair, key) in used.enumerated() {
        let value = keys + draws.integer(below: values)
        sequence.inputs[2 * pair] = Int32(key)
        sequence.inputs[2 * pair + 1] = Int32(value)
        let query = 2 * pairs + 2 * places[pair]
        sequence.inputs[query] = Int32(key)
        sequence.ask(at: query, answer: value, origin: 2 * pair)
      }
    }
  }
}
