import Configuration

/// The run file's `data.s5` section: where five things are after moving them again and again.
///
/// Concretely: every token is a permutation of five things, and the target at each is the document's product up to
/// it: `p_t ∘ … ∘ p_1`, the first applied first. Permutation n, as token and as target, is the n-th of all 120 in
/// lexicographic order; 0 moves nothing.
///
/// - Source: the word problem of S₅: Merrill, Petty and Sabharwal, "The illusion of state in state-space models"
///   (arXiv 2404.08819); swaps alone: Grazzi et al. (arXiv 2411.12537).
package struct PermutationTask: SequenceTask, Equatable {
  /// Which permutations tokens are.
  package enum Moves: String, KeyChoice {
    /// Any of the 120.
    case all
    /// The ten that exchange two things.
    case swaps
  }

  package static let name = "data.s5"
  package static let documentation =
    "Products of permutations of five things, asked at every token."
  package static let depth = TaskDepth.question

  @Key("moves", .data, "Permutations that are tokens: all 120, or the ten swaps of two things.")
  package var moves = Moves.all

  @Key(
    "shortest", .data, from: 1, unit: "tokens",
    "Tokens of the shortest document, where longest is given.")
  package var shortest = 3

  @Key(
    "longest", .data, unit: "tokens", "Tokens of the longest document; 0 = each sequence is one.")
  package var longest = 0

  package init() {}

  package var vocabulary: Int { Self.permutations.count }
  /// After so many swaps only half of all permutations can be reached.
  package var chance: Double { (moves == .swaps ? 2 : 1) / Double(Self.permutations.count) }
  package var problems: [KeyProblem] { documents.problems(of: Self.name) }
  private var documents: TaskDocuments { TaskDocuments(shortest: shortest, longest: longest) }

  /// All permutations of `0..<5` in lexicographic order; item i of one is where i goes.
  static let permutations: [[Int]] = {
    var all: [[Int]] = [[]]
    for _ in 0..<5 {
      all = all.flatMap { start in (0..<5).filter { !start.contains($0) }.map { start + [$0] } }
    }
    return all
  }()

  /// Numbers of the permutations that exchange two things.
  static let swaps = permutations.indices.filter { index in
    permutations[index].enumerated().count { $0 != $1 } == 2
  }

  /// `products[120 · a + b]` is the number of the permutation that does a, then b.
  static let products: [Int] = {
    let numbers = Dictionary(
      uniqueKeysWithValues: permutations.enumerated().map { ($1, $0) })
    return permutations.flatMap { a in permutations.map { b in numbers[a.map { b[$0] }]! } }
  }()

  package func writer(length: Int) throws(CorpusError) -> TaskWriter {
    let (documents, products, count) = (documents, Self.products, Self.permutations.count)
    let tokens = moves == .swaps ? Self.swaps : Array(0..<count)
    return { sequence, draws in
      documents.write(&sequence, &draws) { document, sequence, draws in
        var product = 0
        for position in document {
          let token = tokens[draws.integer(below: tokens.count)]
          product = products[count * product + token]
          sequence.inputs[position] = Int32(token)
          sequence.ask(at: position, answer: product, origin: document.lowerBound)
        }
      }
    }
  }
}
