import Configuration
import Tensors

/// The update rules that a run file can name.
package enum UpdateRuleName: String, KeyChoice {
  /// AdamW for all parameters.
  case adamw
  /// Lion for all parameters.
  case lion
  /// Muon for the matrices inside blocks, AdamW for embeddings, head, norms, biases and convolutions.
  case muon
}

/// Which rule updates which parameters, and what all rules together keep.
package struct UpdateRules: Sendable {
  /// Neighbouring parameters that one rule updates at once.
  package struct Piece: Sendable {
    /// Which parameters.
    package let range: Range<Int>
    /// Their rule's number.
    package let rule: Int
    /// Rows and columns, where the rule needs whole matrices.
    package let matrix: (rows: Int, columns: Int)?
    /// What the learning rate is multiplied by.
    package let learningRateFactor: Double
  }

  /// A number that is kept for each number of some parameters.
  package struct State: Sendable, Equatable {
    /// Its name in checkpoints.
    package let name: String
    /// The parameters.
    package let parameters: IndexRanges
  }

  /// The rules.
  package let rules: [any UpdateRule]
  /// What they keep, each name once.
  package let states: [State]
  /// Matrices that no rank may have a part of: one rank has each.
  package let wholeMatrices: [Range<Int>]
  /// All parameters that are trained, ascending.
  private let pieces: [Piece]

  /// The rules that a run file names.
  package init(
    _ section: OptimizerSection, table: ParameterTable, groups: ParameterGroups? = nil
  ) {
    let adamW = AdamW(beta1: section.beta1, beta2: section.beta2, epsilon: section.epsilon)
    switch section.rule {
    case .adamw:
      self.init([adamW], table: table, groups: groups) { _ in 0 }
    case .lion:
      let lion = section.subsections[LionSection.self]
      self.init([Lion(beta1: lion.beta1, beta2: lion.beta2)], table: table, groups: groups) { _ in 0
      }
    case .muon:
      let muon = section.subsections[MuonSection.self]
      self.init([Muon(momentum: muon.momentum), adamW], table: table, groups: groups) {
        $0.isHiddenMatrix ? 0 : 1
      }
    }
  }

  /// Gives each parameter a rule.
  package init(
    _ rules: [any UpdateRule], table: ParameterTable, groups: ParameterGroups? = nil,
    ruleOf: (ParameterTable.Entry) -> Int
  ) {
    var pieces: [Piece] = []
    for parameter in table.parameters {
      let entry = table[parameter]
      guard entry.isTrainable, !entry.range.isEmpty else { continue }
      let factor = groups?[parameter]?.learningRateFactor ?? 1
      let rule = ruleOf(entry)
      if rules[rule].needsWholeMatrices {
        precondition(entry.shape.rank == 2, "\(entry.name) is no matrix but \(entry.shape)")
        pieces.append(
          Piece(
            range: entry.range, rule: rule, matrix: (entry.shape[0], entry.shape[1]),
            learningRateFactor: factor))
      } else if let last = pieces.last, last.rule == rule, last.learningRateFactor == factor,
        last.range.upperBound == entry.range.lowerBound
      {
        pieces[pieces.count - 1] = Piece(
          range: last.range.lowerBound..<entry.range.upperBound, rule: rule, matrix: nil,
          learningRateFactor: factor)
      } else {
        pieces.append(
          Piece(range: entry.range, rule: rule, matrix: nil, learningRateFactor: factor))
      }
    }
    self.rules = rules
    self.pieces = pieces
    wholeMatrices = pieces.filter { $0.matrix != nil }.map(\.range)
    var names: [String] = []
    for name in rules.flatMap(\.stateNames) where !names.contains(name) { names.append(name) }
    states = names.map { name in
      State(
        name: name,
        parameters: IndexRanges(
          pieces.filter { rules[$0.rule].stateNames.contains(name) }.map(\.range)))
    }
  }

  /// What is to be updated of a range, cut where the rule changes and at each whole matrix.
  package func pieces(of range: Range<Int>) -> [Piece] {
    pieces.compactMap { piece in
      guard piece.range.overlaps(range) else { return nil }
      let part = piece.range.clamped(to: range)
      precondition(
        piece.matrix == nil || part == piece.range, "a part of the matrix \(piece.range): \(part)")
      return Piece(
        range: part, rule: piece.rule, matrix: piece.matrix,
        learningRateFactor: piece.learningRateFactor)
    }
  }
}

extension ParameterTable.Entry {
  /// Whether it is a projection inside a block: no head, no convolution, and more than a vector.
  fileprivate var isHiddenMatrix: Bool {
    role == .matrix && shape.rank == 2 && shape[0] > 1 && shape[1] > 1
  }
}
