import Configuration
import Reporting
import SequenceParallel

/// What a job measures: so many ranks, sequences of one length, one exchange.
struct ScalingCase: Sendable, Hashable {
  /// Ranks in all.
  let ranks: Int
  /// Ranks that share a sequence.
  let sequenceRanks: Int
  /// Tokens of a sequence.
  let length: Int
  /// Sequences of a step, over all ranks.
  let batch: Int
  /// How states cross; nil where no sequence is shared.
  let exchange: ExchangeKind?

  /// Groups with different sequences.
  var dataGroups: Int { ranks / sequenceRanks }
  /// Tokens of a sequence that the rank with most of them holds.
  var shard: Int { (length + sequenceRanks - 1) / sequenceRanks }
  /// The exchange as it stands in tables.
  var exchangeName: String { exchange?.rawValue ?? "none" }
  /// Name of its folder.
  var name: String { "\(ranks)-ranks-\(batch)x\(length)-tokens-\(exchangeName)" }

  /// The keys of the run file that make it.
  var overrides: [Override] {
    [
      "sequence.length=\(length)", "training.batch=\(batch)",
      "parallel.exchange=\((exchange ?? .chain).rawValue)",
    ].map { Override($0) }
  }
}

/// Cases in which one thing is fixed while the ranks grow.
struct ScalingStudy: Sendable, Equatable {
  /// What is fixed.
  enum Kind: String, Sendable {
    /// The tokens of a sequence that a rank holds.
    case weak
    /// The sequence's length.
    case strong
  }

  /// What is fixed.
  let kind: Kind
  /// To how many tokens.
  let tokens: Int
  /// The cases by ranks, then exchange.
  let cases: [ScalingCase]

  /// What it is called.
  var title: String {
    switch kind {
    case .weak: "weak scaling, \(Format.grouped(tokens)) tokens a rank"
    case .strong: "strong scaling, \(Format.grouped(tokens)) tokens in all"
    }
  }

  /// The exchanges that are compared; one nil where nothing is exchanged at all.
  var exchanges: [ExchangeKind?] {
    let all = ExchangeKind.allCases.filter { kind in cases.contains { $0.exchange == kind } }
    return all.isEmpty ? [nil] : all
  }

  /// The cases of one exchange by ranks, those that need none included.
  func cases(_ exchange: ExchangeKind?) -> [ScalingCase] {
    cases.filter { $0.exchange == exchange || $0.exchange == nil }
  }

  /// The case with the fewest ranks, which all others of its exchange are compared with.
  func base(of scalingCase: ScalingCase) -> ScalingCase? {
    cases(scalingCase.exchange ?? exchanges[0]).min { $0.ranks < $1.ranks }
  }
}
