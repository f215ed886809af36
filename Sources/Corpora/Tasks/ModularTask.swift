import Configuration

/// The run file's `data.modular` section: arithmetic modulo a number, from left to right.
///
/// Concretely: a document is numbers with operators between them, `3 + 4 × 2 − …`. At each number the target is
/// the result so far, each operator applied to the result before it: no operator binds more than another. What is
/// multiplied by has no divisor in common with the modulus, so that no step forgets what came before it and
/// all results are equally likely.
///
/// | tokens | are |
/// |---|---|
/// | `number` | numbers, and results as targets |
/// | `modulus` … `modulus + 2` | plus, minus, times |
///
/// - Source: "modular arithmetic" without brackets, as in Delétang et al., "Neural networks and the Chomsky
///   hierarchy" (arXiv 2207.02098), there with precedence and asked at the end only.
package struct ModularTask: SequenceTask, Equatable {
  package static let name = "data.modular"
  package static let documentation =
    "Arithmetic modulo a number from left to right, asked at every number."
  package static let depth = TaskDepth.question

  @Key("modulus", .data, from: 2, "Numbers are below it; chance is one in so many.")
  package var modulus = 5

  @Key(
    "operators", .data, of: ["plus", "minus", "times"], "Operators between numbers; empty = all.")
  package var operators: [String] = []

  @Key(
    "shortest", .data, from: 1, unit: "tokens",
    "Tokens of the shortest document, where longest is given.")
  package var shortest = 3

  @Key(
    "longest", .data, unit: "tokens", "Tokens of the longest document; 0 = each sequence is one.")
  package var longest = 0

  package init() {}

  package var vocabulary: Int { modulus + 3 }
  package var chance: Double { 1 / Double(modulus) }
  package var problems: [KeyProblem] { documents.problems(of: Self.name) }
  private var documents: TaskDocuments { TaskDocuments(shortest: shortest, longest: longest) }

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let (documents, modulus) = (documents, modulus)
    let factors = (1...max(1, modulus - 1)).filter { Self.greatestDivisor($0, modulus) == 1 }
    let all = ["plus", "minus", "times"]
    let used = all.indices.filter { operators.isEmpty || operators.contains(all[$0]) }
    return { sequence, draws in
      documents.write(&sequence, &draws) { document, sequence, draws in
        var (result, operation) = (0, 0)
        for position in document {
          guard (position - document.lowerBound) % 2 == 0 else {
            operation = used[draws.integer(below: used.count)]
            sequence.inputs[position] = Int32(modulus + operation)
            continue
          }
          // A document begins as if with `0 +`.
          if position == document.lowerBound { (result, operation) = (0, 0) }
          let number =
            operation == 2
            ? factors[draws.integer(below: factors.count)] : draws.integer(below: modulus)
          switch operation {
          case 0: result = (result + number) % modulus
          case 1: result = (result - number + modulus) % modulus
          default: result = result * number % modulus
          }
          sequence.inputs[position] = Int32(number)
          sequence.ask(at: position, answer: result, origin: document.lowerBound)
        }
      }
    }
  }

  private static func greatestDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestDivisor(b, a % b)
  }
}
